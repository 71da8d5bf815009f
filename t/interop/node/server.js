// server.js PLAIN_PORT TLS_PORT CERTIFICATE KEY - the service of gRPC's
// interoperability tests on grpc-js. Its servers compress nothing, and do not
// say whether a request was compressed.
'use strict';

const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const { testing, interop } = require('./messages');

const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';
const SERVER_ID = `node-${process.pid}`;

const payload = (size) => ({ body: Buffer.alloc(size) });

// Sends back what was sent at the start; returns what goes at the end.
function echoMetadata(call) {
  const first = new grpc.Metadata();
  const last = new grpc.Metadata();
  for (const value of call.metadata.get(INITIAL)) first.add(INITIAL, value);
  for (const value of call.metadata.get(TRAILING)) last.add(TRAILING, value);
  call.sendMetadata(first);
  return last;
}

const failure = (wanted) => ({ code: wanted.code, details: wanted.message });

function unaryCall(call, callback) {
  const { response_status, response_size, fill_server_id } = call.request;
  if (response_status) {
    callback(failure(response_status));
    return;
  }
  callback(null, {
    payload: payload(response_size),
    server_id: fill_server_id ? SERVER_ID : '',
  }, echoMetadata(call));
}

const later = (us) => new Promise((resolve) => setTimeout(resolve, us / 1e3));

async function answer(call, request) {
  for (const { size, interval_us } of request.response_parameters) {
    if (interval_us) await later(interval_us);
    call.write({ payload: payload(size) });
  }
}

async function streamingOutputCall(call) {
  await answer(call, call.request);
  call.end();
}

function streamingInputCall(call, callback) {
  let size = 0;
  call.on('data', (request) => { size += request.payload.body.length; });
  call.on('end', () => callback(null, { aggregated_payload_size: size }));
}

function fullDuplexCall(call) {
  const trailers = echoMetadata(call);
  let ended = false;
  let before = Promise.resolve();     // answers come in the order of requests
  call.on('data', (request) => {
    before = before.then(async () => {
      if (ended) return;
      if (request.response_status) {
        ended = true;
        call.emit('error', failure(request.response_status));
        return;
      }
      await answer(call, request);
    });
  });
  call.on('end', () => before.then(() => ended || call.end(trailers)));
}

function endEarly(call) {
  call.once('data', (request) => {
    call.write({ payload: payload(request.response_parameters[0].size) });
    call.end();
  });
}

function add(server) {
  server.addService(testing.TestService.service, {
    EmptyCall: (call, callback) => callback(null, {}),
    UnaryCall: unaryCall,
    StreamingOutputCall: streamingOutputCall,
    StreamingInputCall: streamingInputCall,
    FullDuplexCall: fullDuplexCall,
  });
  server.addService(interop.Extra.service, { EndEarly: endEarly });
}

function serve(port, credentials) {
  const server = new grpc.Server({
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  add(server);
  server.bindAsync(`127.0.0.1:${port}`, credentials, (error) => {
    if (error) throw error;
  });
}

const [plain, tls, certificate, key] = process.argv.slice(2);
serve(plain, grpc.ServerCredentials.createInsecure());
serve(tls, grpc.ServerCredentials.createSsl(null, [{
  cert_chain: fs.readFileSync(certificate), private_key: fs.readFileSync(key),
}]));
