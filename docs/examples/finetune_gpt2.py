# ruff: noqa: INP001 - an example to copy, and no part of a package
"""Fine-tune GPT-2 to write posts in the marks that `post.format: ssi` reads.

Usage: python finetune_gpt2.py POSTS.jsonl FOLDER [--model openai-community/gpt2] [--epochs 3]

POSTS.jsonl holds one post a line: {"title": "...", "text": "..."}. FOLDER gets all that a server needs, the tokenizer
included. Needs `pip install transformers torch`; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

#: GPT-2 sees no more.
WINDOW_TOKENS = 1024

#: Samples between two steps of the optimizer.
STEP_SAMPLES = 8


def make_sample(title: str, text: str = "") -> str:
    """Give a post as the model is to write it: marks as plain text, fields with escapes for line ends."""
    body = f"<|sost|>{_escape(text)}<|eost|>" if text else ""
    return f"<|soss|><|sot|>{_escape(title)}<|eot|>{body}<|eoss|>"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r\n", "\n").replace("\n", "\\n").replace("<|", "< |")


def main() -> None:
    """Read the arguments and the posts, and train."""
    parser = argparse.ArgumentParser(description="Fine-tune GPT-2 to write posts.")
    parser.add_argument("posts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="openai-community/gpt2")
    parser.add_argument("--epochs", type=int, default=3)
    wish = parser.parse_args()
    posts = [json.loads(line) for line in wish.posts.read_text(encoding="utf-8").splitlines() if line.strip()]
    train([make_sample(post["title"], post.get("text", "")) for post in posts], wish)


def train(samples: list[str], wish: argparse.Namespace) -> None:
    """Train on the samples, and save model and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(wish.model)
    model = AutoModelForCausalLM.from_pretrained(wish.model).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    model.train()
    for epoch in range(wish.epochs):
        random.shuffle(samples)
        total = 0.0
        for count, sample in enumerate(samples, 1):
            # The end mark teaches the model to stop.
            ids = tokenizer(sample + tokenizer.eos_token, truncation=True, max_length=WINDOW_TOKENS)["input_ids"]
            inputs = torch.tensor([ids], device=device)
            loss = model(input_ids=inputs, labels=inputs).loss
            (loss / STEP_SAMPLES).backward()
            total += float(loss)
            if count % STEP_SAMPLES == 0 or count == len(samples):
                optimizer.step()
                optimizer.zero_grad()
        print(f"epoch {epoch + 1}: mean loss {total / max(1, len(samples)):.3f}", flush=True)
    # Without do_sample some servers always write the likeliest text: the same post every time.
    model.generation_config.update(do_sample=True, temperature=0.8, top_k=40, pad_token_id=tokenizer.eos_token_id)
    model.save_pretrained(wish.folder)
    tokenizer.save_pretrained(wish.folder)


if __name__ == "__main__":
    main()
