// client.js PORT AUTHORITY CA|- CASE... - the cases of gRPC's interoperability
// tests, and ours, on grpc-js; for each one line, "ok CASE" or "FAILED CASE:
// why". What they do is in grpc/doc/interop-test-descriptions.md and
// t/interop/README.md.
'use strict';

const assert = require('assert');
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const { testing, interop } = require('./messages');

const PATIENCE_MS = 30000;
const BIG = 64 << 20;
const CHUNK = 64 << 10;
const UP = 271828;
const DOWN = 314159;
const SIZES = [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]];
const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';
const SPECIAL = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and ' +
  'non-BMP \u{1f608}\t\n';
const SOAK = 10;

const [port, authority, ca, ...cases] = process.argv.slice(2);

function open(more = {}) {
  const credentials = ca === '-' ? grpc.credentials.createInsecure()
    : grpc.credentials.createSsl(fs.readFileSync(ca));
  const options = {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.default_authority': authority,
    ...(ca === '-' ? {} : { 'grpc.ssl_target_name_override': authority }),
    ...more,
  };
  const target = `127.0.0.1:${port}`;
  return {
    test: new testing.TestService(target, credentials, options),
    other: new testing.UnimplementedService(target, credentials, options),
    extra: new interop.Extra(target, credentials, options),
  };
}

const patient = (ms = PATIENCE_MS) => ({ deadline: Date.now() + ms });
const payload = (size) => ({ body: Buffer.alloc(size) });
const simple = (up = UP, down = DOWN, more = {}) => ({
  response_size: down, payload: payload(up), ...more,
});
const output = (up, ...sizes) => ({
  payload: payload(up), response_parameters: sizes.map((size) => ({ size })),
});

// A call with one answer; everything that came of it.
function one(start, metadata = new grpc.Metadata()) {
  const got = {};
  return new Promise((resolve) => {
    got.call = start(metadata, patient(), (error, answer) => {
      got.error = error;
      got.answer = answer;
    });
    got.call.on('metadata', (first) => { got.first = first; });
    got.call.on('status', (status) => { resolve({ ...got, status }); });
  });
}

const unary = (c, request, metadata) => one(
  (m, options, done) => c.test.UnaryCall(request, m, options, done), metadata);

// To the end of a stream of answers.
function all(call, each = () => {}) {
  const got = { sizes: [] };
  return new Promise((resolve) => {
    call.on('metadata', (first) => { got.first = first; });
    call.on('data', (answer) => {
      got.sizes.push(answer.payload.body.length);
      each(got.sizes.length);
    });
    call.on('error', () => {});
    call.on('status', (status) => resolve({ ...got, status }));
  });
}

function good(got, ...sizes) {
  assert.strictEqual(got.status.code, 0, got.status.details);
  if (sizes.length || got.sizes) {
    assert.deepStrictEqual(
      got.sizes || [got.answer.payload.body.length], sizes);
  }
  return got;
}

function bad(got, code, message) {
  assert.strictEqual(got.status.code, code, got.status.details);
  if (message !== undefined) assert.strictEqual(got.status.details, message);
}

// ---- gRPC's

const large_unary = async (c) => good(await unary(c, simple()), DOWN);

async function sum(c, sizes, expected, more = {}) {
  const got = await one((m, options, done) => {
    const call = c.test.StreamingInputCall(m, options, done);
    for (const up of sizes) call.write({ payload: payload(up), ...more });
    call.end();
    return call;
  });
  good(got);
  assert.strictEqual(got.answer.aggregated_payload_size, expected);
}

async function pingPong(c) {
  const call = c.test.FullDuplexCall(patient());
  const say = (n) => {
    if (n < SIZES.length) call.write(output(...SIZES[n]));
    else call.end();
  };
  say(0);
  good(await all(call, say), ...SIZES.map((s) => s[1]));
}

async function metadataComesBack(c, text, value) {
  const sent = new grpc.Metadata();
  sent.set(INITIAL, text);
  sent.set(TRAILING, value);
  const call = c.test.FullDuplexCall(sent, patient());
  call.end(output(UP, DOWN));
  const both = [unary(c, simple(), sent), all(call)];
  for (const got of await Promise.all(both)) {
    good(got, DOWN);
    assert.deepStrictEqual(got.first.get(INITIAL), [text]);
    assert.deepStrictEqual(got.status.metadata.get(TRAILING), [value]);
  }
}

async function statusComesBack(c, message, both) {
  const wanted = { response_status: { code: 2, message } };
  bad(await unary(c, wanted), 2, message);
  if (both) {
    const call = c.test.FullDuplexCall(patient());
    call.end(wanted);
    bad(await all(call), 2, message);
  }
}

const unimplemented = async (stub) => bad(await one(
  (m, options, done) => stub.UnimplementedCall({}, m, options, done)), 12);

async function cancelAfterBegin(c) {
  const got = await one((m, options, done) => {
    const call = c.test.StreamingInputCall(m, options, done);
    call.cancel();
    return call;
  });
  bad(got, 1);
}

async function cancelAfterFirst(c) {
  const call = c.test.FullDuplexCall(patient());
  call.write(output(...SIZES[0]));
  const got = await all(call, () => call.cancel());
  bad(got, 1);
  assert.deepStrictEqual(got.sizes, [SIZES[0][1]]);
}

async function timeout(c) {
  const call = c.test.FullDuplexCall(patient(1));
  call.write(output(27182));
  bad(await all(call), 4);
}

async function pickFirst(c) {
  const ids = new Set();
  for (let n = 0; n < 20; n++) {
    const got = good(await unary(c, simple(1, 1, { fill_server_id: true })), 1);
    ids.add(got.answer.server_id);
  }
  assert(ids.size === 1 && !ids.has(''), [...ids].join());
}

async function channelSoak() {
  for (let n = 0; n < SOAK; n++) {
    const another = open();
    await large_unary(another);
    another.test.close();
  }
}

// ---- ours

// Sends until the call is over, as fast as it is taken.
function flood(call, first) {
  let over = false;
  call.on('status', () => { over = true; });
  const more = output(CHUNK);
  const next = () => {
    while (!over) if (!call.write(more)) { call.once('drain', next); return; }
  };
  call.write(first);
  next();
  return call;
}

// grpc-js takes its own write after the service's end for the end of the call
// when both meet (grpc-node issue 2072), without godwit too: the answer must be
// there, and no other status.
async function earlyOk(c) {
  const got = await all(flood(c.extra.EndEarly(patient()),
    output(CHUNK, 31415)));
  assert.deepStrictEqual(got.sizes, [31415]);
  if (got.status.details !== 'Write error: write after end') good(got, 31415);
}

async function halfClose(c) {
  const call = c.test.FullDuplexCall(patient());
  for (let n = 0; n < 3; n++) call.write(output(8, 100000, 1));
  call.end();
  good(await all(call), 100000, 1, 100000, 1, 100000, 1);
}

const compressing = () => open({
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
});

const CASES = {
  empty_unary: async (c) => good(await one(
    (m, options, done) => c.test.EmptyCall({}, m, options, done))),
  large_unary,
  client_streaming: (c) => sum(c, SIZES.map((s) => s[0]), 74922),
  server_streaming: async (c) => {
    const downs = SIZES.map((s) => s[1]);
    good(await all(c.test.StreamingOutputCall(output(0, ...downs),
      patient())), ...downs);
  },
  ping_pong: pingPong,
  empty_stream: async (c) => {
    const call = c.test.FullDuplexCall(patient());
    call.end();
    good(await all(call));
  },
  custom_metadata: (c) => metadataComesBack(c, 'test_initial_metadata_value',
    Buffer.from('ababab', 'hex')),
  status_code_and_message: (c) => statusComesBack(c, 'test status message',
    true),
  special_status_message: (c) => statusComesBack(c, SPECIAL, false),
  unimplemented_method: (c) => unimplemented(c.test),
  unimplemented_service: (c) => unimplemented(c.other),
  cancel_after_begin: cancelAfterBegin,
  cancel_after_first_response: cancelAfterFirst,
  timeout_on_sleeping_server: timeout,
  pick_first_unary: pickFirst,
  rpc_soak: async (c) => {
    for (let n = 0; n < SOAK; n++) await large_unary(c);
  },
  channel_soak: channelSoak,
  client_compressed_unary_noprobe: async (c) => {
    for (const [on, value] of [[compressing(), true], [c, false]]) {
      good(await unary(on, simple(UP, DOWN,
        { expect_compressed: { value } })), DOWN);
    }
  },
  client_compressed_streaming_noprobe: () => sum(compressing(),
    [27182, 45904], 73086, { expect_compressed: { value: true } }),
  server_compressed_unary: async (c) => {
    for (const value of [true, false]) {
      good(await unary(c, simple(UP, DOWN,
        { response_compressed: { value } })), DOWN);
    }
  },
  server_compressed_streaming: async (c) => {
    const request = output(0, 31415, 92653);
    request.response_parameters[0].compressed = { value: true };
    request.response_parameters[1].compressed = { value: false };
    good(await all(c.test.StreamingOutputCall(request, patient())),
      31415, 92653);
  },
  early_status: async (c) => bad(await all(flood(
    c.test.FullDuplexCall(patient()), {
      ...output(CHUNK), response_status: { code: 9, message: 'enough' },
    })), 9, 'enough'),
  early_ok: earlyOk,
  half_close: halfClose,
  binary_metadata: (c) => metadataComesBack(c, 'a b;c="d"%20',
    Buffer.from([...Array(256).keys()])),
  large_up: async (c) => good(await unary(c, simple(BIG, 9)), 9),
  large_down: async (c) => good(await unary(c, simple(9, BIG)), BIG),
  large_both: async (c) => good(await unary(c, simple(BIG, BIG)), BIG),
};

async function main() {
  const client = open();
  for (const name of cases) {
    try {
      await CASES[name](client);
      console.log('ok', name);
    } catch (e) {
      console.log(`FAILED ${name}: ${String(e).replace(/\s+/g, ' ')}`);
    }
  }
  process.exit();
}

main();
