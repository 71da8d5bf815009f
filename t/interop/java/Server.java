// Server PLAIN_PORT TLS_PORT - grpc-java's interoperability service, as its own
// server has it, that also takes messages of any size and has
// godwit.interop.Extra. The certificate is the resource certs/server1.pem.
package io.grpc.testing.integration;

import static io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import static io.grpc.testing.integration.Messages.StreamingOutputCallResponse;

import com.google.protobuf.ByteString;
import io.grpc.InsecureServerCredentials;
import io.grpc.ServerBuilder;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.TlsServerCredentials;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.services.MetricRecorder;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import io.grpc.testing.TlsTesting;
import io.grpc.xds.orca.OrcaMetricReportingServerInterceptor;
import io.grpc.xds.orca.OrcaServiceImpl;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

public final class Server {
  private static final ScheduledExecutorService executor =
      Executors.newSingleThreadScheduledExecutor();

  // Answers the first message, ends, and takes no notice of the others.
  private static StreamObserver<StreamingOutputCallRequest> endEarly(
      StreamObserver<StreamingOutputCallResponse> answers) {
    return new StreamObserver<>() {
      private boolean over;

      @Override
      public void onNext(StreamingOutputCallRequest request) {
        if (over) {
          return;
        }
        over = true;
        int size = request.getResponseParameters(0).getSize();
        answers.onNext(StreamingOutputCallResponse.newBuilder()
            .setPayload(Messages.Payload.newBuilder()
                .setBody(ByteString.copyFrom(new byte[size])))
            .build());
        answers.onCompleted();
      }

      @Override
      public void onError(Throwable why) {}

      @Override
      public void onCompleted() {}
    };
  }

  private static ServerServiceDefinition extra() {
    return ServerServiceDefinition.builder("godwit.interop.Extra")
        .addMethod(Extra.END_EARLY,
            ServerCalls.asyncBidiStreamingCall(Server::endEarly))
        .build();
  }

  private static io.grpc.Server serve(String port, ServerCredentials as)
      throws Exception {
    MetricRecorder metrics = MetricRecorder.newInstance();
    ServerBuilder<?> builder = NettyServerBuilder.forAddress(
        new InetSocketAddress("127.0.0.1", Integer.parseInt(port)), as);
    return builder.maxInboundMessageSize(Integer.MAX_VALUE)
        .addService(ServerInterceptors.intercept(
            new TestServiceImpl(executor, metrics),
            TestServiceImpl.interceptors()))
        .addService(extra())
        .addService(OrcaServiceImpl.createService(
            executor, metrics, 100, TimeUnit.MILLISECONDS))
        .intercept(OrcaMetricReportingServerInterceptor.create(metrics))
        .build().start();
  }

  public static void main(String[] args) throws Exception {
    serve(args[0], InsecureServerCredentials.create());
    serve(args[1], TlsServerCredentials.create(
        TlsTesting.loadCert("server1.pem"),
        TlsTesting.loadCert("server1.key"))).awaitTermination();
  }
}
