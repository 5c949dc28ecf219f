# the rules
foreach(test deployment device outcome release root)
  sf_test(fleet_${test}_test SOURCES fleet_${test}_test.c LIBS sf_fleet sf_test_support)
endforeach()
foreach(test burn checkin freeze plain random)
  sf_test(fleet_${test}_test SOURCES fleet_${test}_test.c fleet_world.c LIBS sf_fleet)
endforeach()

# the database, both backends
sf_library(sf_test_store SOURCES store_kit.c LIBS sf_store cmocka)
foreach(test both open writer plans prune kill)
  sf_test(store_${test}_test SOURCES store_${test}_test.c LIBS sf_test_store TIMEOUT 300)
endforeach()
sf_test(store_fault_test SOURCES store_fault_test.c store_fault_vfs.c LIBS sf_test_store TIMEOUT 300)
sf_test(store_migrate_test SOURCES store_migrate_test.c store_fault_vfs.c LIBS sf_test_store sf_base TIMEOUT 300)
