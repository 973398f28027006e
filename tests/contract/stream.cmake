reco_test(test_stream SOURCES test_stream.c stream_suite.c stream_suite_random.c stream_model.c stream_mutants.c LABELS contract TIMEOUT 900)
