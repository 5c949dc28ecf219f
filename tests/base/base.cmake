foreach(module arena exchange limit log disk manual plain plain_template siphash stats)
  sf_test(base_${module}_test SOURCES ${module}_test.c LIBS sf_base)
endforeach()
sf_test(base_tls_test SOURCES tls_test.c LIBS sf_base)
