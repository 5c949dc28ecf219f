# Tests of the messages: CBOR, COSE, manifest, status, check-in, and the cryptography under them.
sf_library(sf_wire_support SOURCES wire_support.c LIBS sf_base)

foreach(module cbor cose cosign envelope manifest status checkin)
  sf_test(formats_${module}_test SOURCES ${module}_test.c LIBS sf_wire_support)
endforeach()
sf_test(formats_crypto_test SOURCES crypto_test.c LIBS sf_wire_support sf_port_host)
sf_test(formats_wycheproof_test SOURCES wycheproof_test.c
  LIBS sf_wire_support sf_test_support sf_port_host)

# cbor2 as a second opinion, in the Python that script/bootstrap makes.
sf_program(wire_dump SOURCES wire_dump.c LIBS sf_wire_support sf_test_support)
set_target_properties(wire_dump PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME formats_cbor2_oracle
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/oracle.sh cbor2_oracle.py $<TARGET_FILE:wire_dump>)
set_tests_properties(formats_cbor2_oracle PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)
sf_test(formats_root_test SOURCES root_test.c LIBS sf_wire_support sf_test_support)
sf_test(formats_root_tuf_test SOURCES root_tuf_test.c LIBS sf_test_support)

# What others sign opens, and what we sign others verify: Python's cryptography, and a
# COSE library for JavaScript.
sf_program(wire_open SOURCES wire_open.c LIBS sf_base)
set_target_properties(wire_open PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME formats_sign_oracle
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/oracle.sh sign_oracle.py $<TARGET_FILE:wire_dump>
          $<TARGET_FILE:wire_open>)
add_test(NAME formats_sign_oracle_js
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/oracle.sh sign_oracle.mjs $<TARGET_FILE:wire_dump>
          $<TARGET_FILE:wire_open>)
set_tests_properties(formats_sign_oracle formats_sign_oracle_js
  PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)
sf_test(formats_wycheproof_others_test SOURCES wycheproof_others_test.c
  LIBS sf_wire_support sf_test_support sf_port_host)
