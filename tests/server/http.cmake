# server/http and server/artifacts: the parts alone, then the real server with a real TLS client.
foreach(test range request routes spool)
  sf_test(http_${test}_test SOURCES http_${test}_test.c LIBS sf_http)
endforeach()
sf_test(artifacts_test SOURCES artifacts_test.c LIBS sf_artifacts)
