reco_test(test_stream SOURCES test_stream.c stream_suite.c stream_suite_random.c stream_model.c stream_mutants.c LABELS contract TIMEOUT 900)
reco_test(test_stream_door SOURCES test_stream_door.c LABELS contract)
reco_test(test_stream_process SOURCES test_stream_process.c LABELS contract)
