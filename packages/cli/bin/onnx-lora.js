#!/usr/bin/env node
/** @file Starts the command. It is not compiled, so that npm finds something to link before the first build. */

import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const needed = engines.node.replace('>=', '');
const isOld = process.versions.node.localeCompare(needed, 'en', { numeric: true }) < 0;
const main = new URL('../dist/main.js', import.meta.url);
if (isOld) {
  // It would end in an error of syntax or of a name that is not there.
  console.error(
    `error: onnx-lora needs Node ${needed} or newer, and this is ${process.versions.node}. Install a newer one from https://nodejs.org and run it again.`,
  );
  process.exitCode = 2;
} else if (existsSync(main)) {
  // From 22 on, Node can keep what it has compiled: half of the time until the command begins.
  module.enableCompileCache?.();
  try {
    await import(main.href);
  } catch (error) {
    // Node opens the modules of a program all at once, and tells of too few descriptors as of any bug.
    const limit = Number(process.report?.getReport?.()?.userLimits?.open_files?.soft);
    if (error?.code !== 'EMFILE' && error?.code !== 'ENFILE' && !(limit < 256)) throw error;
    console.error(
      `error: This process may open only ${limit} files, too few for the command to start. Raise the limit and run it again: ulimit -n 4096`,
    );
    process.exitCode = 2;
  }
} else {
  console.error('onnx-lora is not built yet. Run: npm run build');
  process.exitCode = 1;
}
