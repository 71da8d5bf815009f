// proxyless.js TARGET - as t/lib/proxyless.py, by grpc-js and its xds: calls
// SayHello until stdin ends, and says of each call "OK ID", or the status and
// why. GRPC_XDS_BOOTSTRAP_CONFIG is who it asks.
'use strict';
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const raw = (bytes) => bytes;
const Caller = grpc.makeGenericClientConstructor({
  sayHello: {
    path: '/demo.Greeter/SayHello',
    requestStream: false,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
});
const client = new Caller(process.argv[2], grpc.credentials.createInsecure());

function call() {
  const options = { deadline: Date.now() + 10000 };
  client.sayHello(Buffer.alloc(0), options, (error, answer) => {
    console.log(error
      ? `${grpc.status[error.code]} ${JSON.stringify(error.details)}`
      : `OK ${answer.toString().split(':')[0]}`);
    setImmediate(call);
  });
}

process.stdin.on('end', () => process.exit(0)).resume();
call();
