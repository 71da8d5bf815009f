// What our own cases need besides the test service: extra.proto, in Java.
package io.grpc.testing.integration;

import static io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import static io.grpc.testing.integration.Messages.StreamingOutputCallResponse;

import io.grpc.MethodDescriptor;
import io.grpc.protobuf.ProtoUtils;

final class Extra {
  static final MethodDescriptor<StreamingOutputCallRequest,
      StreamingOutputCallResponse> END_EARLY = MethodDescriptor
          .<StreamingOutputCallRequest, StreamingOutputCallResponse>newBuilder()
          .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
          .setFullMethodName("godwit.interop.Extra/EndEarly")
          .setRequestMarshaller(ProtoUtils.marshaller(
              StreamingOutputCallRequest.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(
              StreamingOutputCallResponse.getDefaultInstance()))
          .build();

  private Extra() {}
}
