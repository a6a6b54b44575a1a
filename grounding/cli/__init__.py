"""The command line: one file per subcommand. The only place where training, evaluation and data_tools meet."""
