"""The platform port for Reddit: the only importer of PRAW and the only room that knows `t1_` and `a+b`."""
