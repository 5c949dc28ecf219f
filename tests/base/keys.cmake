# Keys, UUIDs and hex.
foreach(module hex key_head p256 uuid)
  sf_test(base_${module}_test SOURCES ${module}_test.c LIBS sf_base Threads::Threads)
endforeach()
