/**
 * @file `npm run test:packed`: what would be published, installed from tarballs on a machine that has nothing of this
 * repository. Needs npm's registry. Every step runs even when one fails; the exit code says whether one did.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkConsumers } from './consumers.ts';
import { checkGeneratedPlugin } from './generatedPlugin.ts';
import { checkSdkAlone } from './sdkAlone.ts';
import { checkNodes } from './nodes.ts';
import { packAll } from './tarballs.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-packed-'));
const at = (name: string): string => path.join(scratch, name);
try {
  const tarballs = packAll(at('tarballs'));
  const steps: [string, () => void][] = [
    ['the SDK alone', () => checkSdkAlone(at('alone'), tarballs)],
    ['programs in JavaScript and TypeScript', () => checkConsumers(at('consumers'), tarballs)],
    ['a generated plugin', () => checkGeneratedPlugin(at('onnx-lora-cells'), tarballs)],
    ['other versions of Node', () => checkNodes(at('nodes'), at('onnx-lora-cells'))],
  ];
  for (const [name, step] of steps) {
    const start = performance.now();
    let outcome = 'passed';
    try {
      step();
    } catch (error) {
      process.exitCode = 1;
      outcome = 'FAILED';
      console.error(error instanceof Error ? error.message : error);
    }
    console.log(`${name}: ${outcome} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
