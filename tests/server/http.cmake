# server/http and server/artifacts: the parts alone, then the real server with a real TLS client.
foreach(test guard range request routes spool)
  sf_test(http_${test}_test SOURCES http_${test}_test.c LIBS sf_http)
endforeach()
sf_test(artifacts_test SOURCES artifacts_test.c LIBS sf_artifacts)
sf_library(sf_test_http SOURCES http_kit.c LIBS sf_http sf_base cmocka)
foreach(test hostile limits refusals server)
  sf_test(http_${test}_test SOURCES http_${test}_test.c LIBS sf_test_http)
endforeach()
