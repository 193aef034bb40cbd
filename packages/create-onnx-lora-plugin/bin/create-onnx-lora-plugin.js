#!/usr/bin/env node
/** @file Starts the command. It is not compiled, so that npm finds something to link before the first build. */

import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('create-onnx-lora-plugin is not built yet. Run: npm run build');
  process.exitCode = 1;
}
