// The load that the server reports beside its calls. grpc-go's own service
// for it takes no interval below 30 s outside of its own tests.
package main

import (
	"time"

	pb "github.com/cncf/xds/go/xds/data/orca/v3"
	service "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc/orca"
)

const reportEvery = 100 * time.Millisecond

type loadService struct {
	service.UnimplementedOpenRcaServiceServer
	recorder orca.ServerMetricsRecorder
}

// known leaves out what nobody has set.
func known(value float64) float64 {
	return max(value, 0)
}

func (s loadService) StreamCoreMetrics(_ *service.OrcaLoadReportRequest,
	stream service.OpenRcaService_StreamCoreMetricsServer) error {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		now := s.recorder.ServerMetrics()
		if err := stream.Send(&pb.OrcaLoadReport{
			CpuUtilization: known(now.CPUUtilization),
			MemUtilization: known(now.MemUtilization),
			Utilization:    now.Utilization}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-ticker.C:
		}
	}
}
