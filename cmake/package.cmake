# What is installed where, and the two Debian packages that CPack makes of it:
# surefootd (the server, its unit, its user) and surefoot (the command line and the simulator).
include(GNUInstallDirs)

install(TARGETS surefootd RUNTIME DESTINATION bin COMPONENT surefootd)
install(FILES packaging/surefootd.service DESTINATION lib/systemd/system COMPONENT surefootd)
install(FILES packaging/surefootd.sysusers DESTINATION lib/sysusers.d RENAME surefootd.conf
  COMPONENT surefootd)
install(FILES packaging/surefootd.conf DESTINATION /etc/surefoot COMPONENT surefootd)
install(TARGETS surefoot surefoot-sim RUNTIME DESTINATION bin COMPONENT surefoot)
# Man pages and completion, which the target `share` makes.
install(DIRECTORY ${CMAKE_BINARY_DIR}/share/man/man8 DESTINATION share/man COMPONENT surefootd)
install(DIRECTORY ${CMAKE_BINARY_DIR}/share/man/man1 DESTINATION share/man COMPONENT surefoot)
install(DIRECTORY ${CMAKE_BINARY_DIR}/share/bash-completion ${CMAKE_BINARY_DIR}/share/zsh
                  ${CMAKE_BINARY_DIR}/share/fish
  DESTINATION share COMPONENT surefoot)
foreach(component surefootd surefoot)
  install(FILES packaging/debian/copyright DESTINATION share/doc/${component} COMPONENT ${component})
endforeach()
file(GLOB SF_DOCS docs/*.md)
install(FILES ${SF_DOCS} README.md SECURITY.md DESTINATION share/doc/surefootd COMPONENT surefootd)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_VENDOR "Surefoot")
set(CPACK_PACKAGE_CONTACT "the Surefoot authors <surefoot@example.com>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_SOURCE_DIR}/build/package)
set(CPACK_COMPONENTS_ALL surefootd surefoot)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_SUREFOOTD_PACKAGE_NAME surefootd)
set(CPACK_DEBIAN_SUREFOOTD_PACKAGE_DEPENDS
    "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_SUREFOOTD_PACKAGE_SUGGESTS surefoot)
set(CPACK_DEBIAN_SUREFOOTD_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/packaging/debian/postinst ${CMAKE_SOURCE_DIR}/packaging/debian/prerm
    ${CMAKE_SOURCE_DIR}/packaging/debian/postrm ${CMAKE_SOURCE_DIR}/packaging/debian/conffiles)
set(CPACK_DEBIAN_SUREFOOTD_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
set(CPACK_DEBIAN_SUREFOOT_PACKAGE_NAME surefoot)
set(CPACK_COMPONENT_SUREFOOTD_DESCRIPTION
    "update server for ESP32 fleets\nHTTPS, signed statuses, releases, devices and their history; one program with\nSQLite inside. Listens on 127.0.0.1:8443 until told otherwise.")
set(CPACK_COMPONENT_SUREFOOT_DESCRIPTION
    "command line and simulator for ESP32 updates\nKeys, images, flash dumps, releases and devices; surefoot-sim runs virtual\nESP32s with the real update engine.")
include(CPack)
