# cmake -DOUT=file.c -DFOLDER=migrations -P embed.cmake: every NNNN_name.sql of the folder as a C
# array, in the order of their numbers.
file(GLOB files ${FOLDER}/*.sql)
list(SORT files)
set(arrays "")
set(rows "")
set(count 0)
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  string(REGEX MATCH "^[0-9]+" number ${name})
  math(EXPR count "${count} + 1")
  math(EXPR version "1${number} - 10000")
  if(NOT version EQUAL count)
    message(FATAL_ERROR "${file}: migrations are numbered 0001, 0002, ... without gaps")
  endif()
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)"
         "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const char sql_${count}[] = {\n${bytes}0};\n")
  string(APPEND rows "    {${count}, \"${name}\", sql_${count}},\n")
endforeach()
file(WRITE ${OUT} "/* made from server/store/migrations by embed.cmake */\n"
     "#include \"server/store/sqlite.h\"\n\n${arrays}\n"
     "const struct migration migrations[] = {\n${rows}};\n"
     "const unsigned migration_count = ${count};\n")
