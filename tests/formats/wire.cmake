# Tests of the messages: CBOR, COSE, manifest, status, check-in, and the cryptography under them.
sf_library(sf_wire_support SOURCES wire_support.c LIBS sf_base)

foreach(module cbor cose envelope manifest status checkin)
  sf_test(formats_${module}_test SOURCES ${module}_test.c LIBS sf_wire_support)
endforeach()
sf_test(formats_crypto_test SOURCES crypto_test.c LIBS sf_wire_support sf_port_host)
sf_test(formats_wycheproof_test SOURCES wycheproof_test.c
  LIBS sf_wire_support sf_test_support sf_port_host)
