// messages.js - the packages of the .proto files that t/interop/build puts
// beside this file.
'use strict';

const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const loaded = grpc.loadPackageDefinition(loader.loadSync('extra.proto', {
  keepCase: true, defaults: true, includeDirs: [path.resolve(__dirname)],
}));

module.exports = {
  testing: loaded.grpc.testing, interop: loaded.godwit.interop,
};
