<?php
// Debian's package reads its settings from /etc; the test's own stand elsewhere.
$root = $_SERVER['DOCUMENT_ROOT'];
$source = file_get_contents("$root/include/classes/core/CConfigFile.php");
eval('?>' . str_replace('/etc/zabbix/zabbix.conf.php', getenv('ZABBIX_CONFIG'), $source));
