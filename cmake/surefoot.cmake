# What every folder's CMakeLists.txt uses: the language, the warnings, the sanitizers, sf_library(),
# sf_program() and sf_test().

option(SF_WERROR "Treat warnings as errors (dev, asan and CI presets)" OFF)
option(SF_TESTS "Build the tests" ON)
option(SF_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
set(SF_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_CROSSCOMPILING)
  find_package(PkgConfig REQUIRED)
  find_package(Threads REQUIRED)
  add_compile_definitions(_GNU_SOURCE)
endif()
if(SF_SANITIZE)
  add_compile_options(-fsanitize=${SF_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SF_SANITIZE})
endif()

set(SF_WARNINGS
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual
    -Wwrite-strings -Wformat=2 -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wundef
    -Wnull-dereference)

function(sf_common target)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
  target_compile_options(${target} PRIVATE ${SF_WARNINGS} $<$<BOOL:${SF_WERROR}>:-Werror>)
endfunction()

# sf_library(name [DEVICE] SOURCES ... [LIBS ...]). DEVICE code may use 512 bytes of stack a frame.
function(sf_library name)
  cmake_parse_arguments(A "DEVICE" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  sf_common(${name})
  target_link_libraries(${name} PUBLIC ${A_LIBS})
  if(A_DEVICE AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT SF_SANITIZE)
    target_compile_options(${name} PRIVATE -Wstack-usage=512)
  endif()
endfunction()

# sf_program(name SOURCES ... LIBS ...)
function(sf_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  sf_common(${name})
  target_link_libraries(${name} PRIVATE ${A_LIBS})
endfunction()

# sf_test(name SOURCES ... LIBS ... [TIMEOUT s]): one cmocka program, one ctest entry. Exit status 77
# counts as skipped. SF_VECTORS and SF_SHARED_VECTORS are folders of golden data; the second is
# outside the repository and may be absent.
function(sf_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  sf_common(${name})
  target_link_libraries(${name} PRIVATE ${A_LIBS} cmocka)
  target_compile_definitions(${name} PRIVATE
    SF_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SF_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
    SF_VECTORS="${CMAKE_SOURCE_DIR}/tests/vectors"
    SF_SHARED_VECTORS="${CMAKE_SOURCE_DIR}/../shared/vectors")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${A_TIMEOUT})
endfunction()
