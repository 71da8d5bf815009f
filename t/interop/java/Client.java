// Client PORT AUTHORITY CA|- CASE... - the cases of grpc-java's own client, and
// ours; for each one line, "ok CASE" or "FAILED CASE: why". The CA is the
// resource certs/ca.pem, whatever CA says.
//
// Its own client takes one case; a Java machine for each would take longer
// than all of them.
package io.grpc.testing.integration;

import static io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import static io.grpc.testing.integration.Messages.StreamingOutputCallResponse;

import com.google.protobuf.ByteString;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.testing.TlsTesting;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

public final class Client {
  private static final int BIG = 64 << 20;
  private static final int CHUNK = 64 << 10;
  private static final int PATIENCE_S = 30;
  private static final Metadata.Key<String> INITIAL = Metadata.Key.of(
      "x-grpc-test-echo-initial", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<byte[]> TRAILING = Metadata.Key.of(
      "x-grpc-test-echo-trailing-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final String LOAD = "{\"loadBalancingConfig\":"
      + "[{\"test_backend_metrics_load_balancer\": {}}]}";

  private final String port;
  private final String authority;
  private final boolean tls;

  private interface Case {
    void run(ManagedChannel channel) throws Exception;
  }

  private final Map<String, Case> ours = Map.of(
      "early_status", this::earlyStatus,
      "early_ok", this::earlyOk,
      "half_close", this::halfClose,
      "binary_metadata", this::binaryMetadata,
      "large_up", channel -> unary(channel, BIG, 9),
      "large_down", channel -> unary(channel, 9, BIG),
      "large_both", channel -> unary(channel, BIG, BIG));

  // A call, whatever comes of it.
  private static final class Call<Q, A> extends ClientCall.Listener<A> {
    final ClientCall<Q, A> call;
    final Q flood;
    Metadata first = new Metadata();
    Metadata last;
    final List<A> answers = new ArrayList<>();
    final CompletableFuture<Status> status = new CompletableFuture<>();
    boolean closed;

    // Sends the requests; then closes its half or, if flood is not null, sends
    // that without end, as fast as it is taken.
    Call(ManagedChannel channel, MethodDescriptor<Q, A> method,
        Metadata metadata, Q flood, List<Q> requests) {
      this.flood = flood;
      call = channel.newCall(method, CallOptions.DEFAULT
          .withDeadlineAfter(PATIENCE_S, TimeUnit.SECONDS)
          .withMaxInboundMessageSize(Integer.MAX_VALUE));
      synchronized (this) {     // no flood before the requests
        call.start(this, metadata);
        call.request(Integer.MAX_VALUE);
        requests.forEach(call::sendMessage);
        if (flood == null) {
          call.halfClose();
        }
      }
      onReady();
    }

    @Override
    public synchronized void onReady() {
      while (flood != null && !closed && call.isReady()) {
        call.sendMessage(flood);
      }
    }

    @Override
    public void onHeaders(Metadata headers) {
      first = headers;
    }

    @Override
    public void onMessage(A answer) {
      answers.add(answer);
    }

    @Override
    public synchronized void onClose(Status code, Metadata trailers) {
      closed = true;
      last = trailers;
      status.complete(code);
    }

    Call<Q, A> ends(Status.Code code, String message) throws Exception {
      Status got = status.get();
      same(got.getCode(), code, got);
      if (message != null) {
        same(got.getDescription(), message, got);
      }
      return this;
    }
  }

  private static void same(Object got, Object want, Object about) {
    if (!want.equals(got)) {
      throw new AssertionError("got " + got + ", expected " + want + ": "
          + about);
    }
  }

  private static Messages.Payload payload(int size) {
    return Messages.Payload.newBuilder()
        .setBody(ByteString.copyFrom(new byte[size])).build();
  }

  private static StreamingOutputCallRequest.Builder output(int up,
      int... sizes) {
    StreamingOutputCallRequest.Builder made =
        StreamingOutputCallRequest.newBuilder().setPayload(payload(up));
    for (int size : sizes) {
      made.addResponseParameters(
          Messages.ResponseParameters.newBuilder().setSize(size));
    }
    return made;
  }

  private static void sized(List<StreamingOutputCallResponse> answers,
      Integer... sizes) {
    List<Integer> got = new ArrayList<>();
    for (StreamingOutputCallResponse answer : answers) {
      got.add(answer.getPayload().getBody().size());
    }
    same(got, Arrays.asList(sizes), "sizes");
  }

  private void earlyStatus(ManagedChannel channel) throws Exception {
    StreamingOutputCallRequest first = output(CHUNK).setResponseStatus(
        Messages.EchoStatus.newBuilder().setCode(9).setMessage("enough"))
        .build();
    new Call<>(channel, TestServiceGrpc.getFullDuplexCallMethod(),
        new Metadata(), output(CHUNK).build(), List.of(first))
        .ends(Status.Code.FAILED_PRECONDITION, "enough");
  }

  private void earlyOk(ManagedChannel channel) throws Exception {
    sized(new Call<>(channel, Extra.END_EARLY, new Metadata(),
        output(CHUNK).build(), List.of(output(CHUNK, 31415).build()))
        .ends(Status.Code.OK, null).answers, 31415);
  }

  private void halfClose(ManagedChannel channel) throws Exception {
    StreamingOutputCallRequest each = output(8, 100000, 1).build();
    sized(new Call<>(channel, TestServiceGrpc.getFullDuplexCallMethod(),
        new Metadata(), null, List.of(each, each, each))
        .ends(Status.Code.OK, null).answers, 100000, 1, 100000, 1, 100000, 1);
  }

  private void binaryMetadata(ManagedChannel channel) throws Exception {
    byte[] value = new byte[256];
    for (int i = 0; i < value.length; i++) {
      value[i] = (byte) i;
    }
    String text = "a b;c=\"d\"%20";
    Metadata sent = new Metadata();
    sent.put(INITIAL, text);
    sent.put(TRAILING, value);
    Call<?, ?> call = new Call<>(channel, TestServiceGrpc.getUnaryCallMethod(),
        sent, null, List.of(Messages.SimpleRequest.getDefaultInstance()))
        .ends(Status.Code.OK, null);
    same(call.first.get(INITIAL), text, "headers");
    same(Arrays.equals(call.last.get(TRAILING), value), true, call.last);
  }

  private void unary(ManagedChannel channel, int up, int down)
      throws Exception {
    Call<?, Messages.SimpleResponse> call = new Call<>(channel,
        TestServiceGrpc.getUnaryCallMethod(), new Metadata(), null,
        List.of(Messages.SimpleRequest.newBuilder().setResponseSize(down)
            .setPayload(payload(up)).build()));
    call.ends(Status.Code.OK, null);
    same(call.answers.get(0).getPayload().getBody().size(), down, "bytes");
  }

  private ManagedChannel open() throws Exception {
    ChannelCredentials credentials = !tls ? InsecureChannelCredentials.create()
        : TlsChannelCredentials.newBuilder()
            .trustManager(TlsTesting.loadCert("ca.pem")).build();
    return Grpc.newChannelBuilder("127.0.0.1:" + port, credentials)
        .overrideAuthority(authority).build();
  }

  private void theirs(String name) throws Exception {
    List<String> flags = new ArrayList<>(List.of("--server_host=127.0.0.1",
        "--server_port=" + port, "--server_host_override=" + authority,
        "--test_case=" + name, "--use_tls=" + tls, "--use_test_ca=" + tls));
    if (name.startsWith("orca")) {
      flags.add("--service_config_json=" + LOAD);
    }
    TestServiceClient.main(flags.toArray(new String[0]));
  }

  private void run(String name) {
    try {
      if (!ours.containsKey(name)) {
        theirs(name);
      } else {
        ManagedChannel channel = open();
        try {
          ours.get(name).run(channel);
        } finally {
          channel.shutdownNow();
        }
      }
      System.out.println("ok " + name);
    } catch (Throwable why) {
      Throwable deep = why;
      while (deep.getCause() != null) {
        deep = deep.getCause();
      }
      System.out.println("FAILED " + name + ": "
          + deep.toString().replaceAll("\\s+", " "));
    }
  }

  private Client(String port, String authority, boolean tls) {
    this.port = port;
    this.authority = authority;
    this.tls = tls;
  }

  public static void main(String[] args) {
    Client client = new Client(args[0], args[1], !args[2].equals("-"));
    for (String name : Arrays.copyOfRange(args, 3, args.length)) {
      client.run(name);
    }
    System.exit(0);
  }
}
