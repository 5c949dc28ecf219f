# Tests of the flash formats.
foreach(module bytes crc32 md5 partition otadata boot bootloader esp_ota image behaviour verdict nvs)
  sf_test(formats_${module}_test SOURCES ${module}_test.c LIBS sf_test_support)
endforeach()

# Signature sectors, through both cryptography libraries.
sf_test(formats_sbv2_test SOURCES sbv2_test.c LIBS sf_test_support sf_port_host)
