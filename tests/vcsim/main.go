// vCenter, as govmomi simulates it: ADDRESS IDLE_TIMEOUT.
package main

import (
	"log"
	"net/url"
	"os"
	"time"

	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
)

func main() {
	idle, err := time.ParseDuration(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	simulator.SessionIdleTimeout = idle
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: os.Args[1]}
	model.Service.RegisterEndpoints = true
	model.Service.NewServer()
	select {}
}
