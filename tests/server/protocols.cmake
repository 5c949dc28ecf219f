find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED)

sf_test(options_test SOURCES options_test.c LIBS sf_options)
sf_test(request_test SOURCES request_test.c LIBS sf_protocols)
sf_test(text_test SOURCES text_test.c LIBS sf_protocols)
sf_test(auth_limits_test SOURCES auth_limits_test.c LIBS sf_protocols)
sf_test(plain_access_test SOURCES plain_access_test.c LIBS sf_protocols)
sf_test(native_test SOURCES native_test.c LIBS sf_protocols)
sf_test(scheduler_test SOURCES scheduler_test.c ${CMAKE_SOURCE_DIR}/server/scheduler.c
  ${CMAKE_SOURCE_DIR}/server/certificate.c
  LIBS sf_store sf_artifacts sf_base)
sf_test(upload_test SOURCES upload_test.c LIBS sf_protocols sf_test_support)

# with the real surefootd
sf_library(sf_test_daemon SOURCES daemon.c fleet_kit.c raw.c
  LIBS sf_protocols sf_test_support sf_base CURL::libcurl OpenSSL::SSL cmocka)
target_compile_definitions(sf_test_daemon PRIVATE SF_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
foreach(test api certificate log roles native plain publish durability faults start trust)
  sf_test(server_${test}_test SOURCES server_${test}_test.c LIBS sf_test_daemon)
  add_dependencies(server_${test}_test surefootd)
endforeach()
# programs from outside; skipped where they are not installed
foreach(test slowhttptest testssl)
  sf_test(server_${test}_test SOURCES server_${test}_test.c tool.c LIBS sf_test_daemon TIMEOUT 1500)
  add_dependencies(server_${test}_test surefootd)
endforeach()
# it takes a connection that comes late for one that failed: nothing else beside it
set_tests_properties(server_testssl_test PROPERTIES RUN_SERIAL TRUE)

# backups
foreach(test backup restore)
  sf_test(server_${test}_test SOURCES server_${test}_test.c backup_kit.c LIBS sf_backup sf_test_daemon)
  add_dependencies(server_${test}_test surefootd)
endforeach()
sf_test(server_kill_test SOURCES server_kill_test.c LIBS sf_backup sf_test_daemon TIMEOUT 1500)
add_dependencies(server_kill_test surefootd)

# surefootd in which the n-th allocation, statement or write fails
get_target_property(SF_SUREFOOTD_SOURCES surefootd SOURCES)
list(TRANSFORM SF_SUREFOOTD_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/server/)
get_target_property(SF_SUREFOOTD_LIBS surefootd LINK_LIBRARIES)
sf_program(surefootd_faulty SOURCES ${SF_SUREFOOTD_SOURCES} faulty.c store_fault_vfs.c
  LIBS ${SF_SUREFOOTD_LIBS})
target_compile_definitions(surefootd_faulty PRIVATE SUREFOOT_VERSION="${PROJECT_VERSION}")
target_link_options(surefootd_faulty PRIVATE
  LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=write,--wrap=fsync)
set_target_properties(surefootd_faulty PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
sf_test(server_nth_test SOURCES server_nth_test.c LIBS sf_test_daemon TIMEOUT 1500)
target_compile_definitions(server_nth_test PRIVATE SF_FAULTY="$<TARGET_FILE:surefootd_faulty>")
add_dependencies(server_nth_test surefootd_faulty)
