"""t/interop/python/messages.py - the messages of testing.proto, made of the
descriptors that t/interop/build has written, and the names of the methods."""
import os

from google.protobuf import descriptor_pb2, message_factory

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "../../../build/interop/messages.pb")

with open(FILE, "rb") as f:
    files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
known = message_factory.GetMessages(files.file)


def message(name):
    return known["grpc.testing." + name]


Empty = message("Empty")
Payload = message("Payload")
SimpleRequest = message("SimpleRequest")
SimpleResponse = message("SimpleResponse")
InputRequest = message("StreamingInputCallRequest")
InputResponse = message("StreamingInputCallResponse")
Parameters = message("ResponseParameters")
OutputRequest = message("StreamingOutputCallRequest")
OutputResponse = message("StreamingOutputCallResponse")

TEST, EXTRA = "grpc.testing.TestService", "godwit.interop.Extra"
UNARY, OUTPUT, INPUT, BOTH = (
    "unary_unary", "unary_stream", "stream_unary", "stream_stream")
METHODS = {
    f"/{TEST}/EmptyCall": (UNARY, Empty, Empty),
    f"/{TEST}/UnaryCall": (UNARY, SimpleRequest, SimpleResponse),
    f"/{TEST}/StreamingOutputCall": (OUTPUT, OutputRequest, OutputResponse),
    f"/{TEST}/StreamingInputCall": (INPUT, InputRequest, InputResponse),
    f"/{TEST}/FullDuplexCall": (BOTH, OutputRequest, OutputResponse),
    f"/{EXTRA}/EndEarly": (BOTH, OutputRequest, OutputResponse),
}


def payload(size):
    return Payload(body=bytes(size))
