/**
 * @file `npm run test:packed`: a release rehearsed. Packages get their next version, are published to a registry on this machine,
 * and are installed from there in empty folders. Needs npm's registry for all other packages. Every step runs even when one
 * fails; the exit code says whether one did.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkConsumers, checkReadme } from './consumers.ts';
import { checkGeneratedPlugin } from './generatedPlugin.ts';
import { checkNodes } from './nodes.ts';
import { startRegistry } from './registry.ts';
import { release } from './release.ts';
import { checkSdkAlone } from './sdkAlone.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-packed-'));
const at = (name: string): string => path.join(scratch, name);
const stopRegistry = await startRegistry(at('registry'));
try {
  const published = release(at('clone'));
  const steps: [string, () => void][] = [
    ['the SDK alone', () => checkSdkAlone(at('alone'))],
    ['programs in JavaScript and TypeScript', () => checkConsumers(at('consumers'), published)],
    ["the README's program", () => checkReadme(at('readme'), at('clone'))],
    ['a generated plugin', () => checkGeneratedPlugin(at('onnx-lora-cells'))],
    ['versions of Node', () => checkNodes(at('nodes'), at('onnx-lora-cells'), published)],
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
  stopRegistry();
  rmSync(scratch, { recursive: true, force: true });
}
