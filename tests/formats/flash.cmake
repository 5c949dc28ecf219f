# Tests of the flash formats.
foreach(module boot esp_ota nvs)
  sf_test(formats_${module}_test SOURCES ${module}_test.c LIBS sf_test_support)
endforeach()
