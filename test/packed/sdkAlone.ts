/** @file An installation of the SDK alone holds no domain packages, and stays within the budget. */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { npmInstall, run } from './command.ts';
import { emptyProject } from './release.ts';
import { megabytes } from './tarballs.ts';

/** Bytes of all packages except ONNX Runtime and its dependencies. */
const BUDGET = 4.5e6;

/** Dependencies of the domains and of the command. */
const foreign =
  /^(@onnx-lora\/(?!sdk$).*|sharp|@img\/.*|wavefile|.*-decoder|@wasm-audio-decoders\/.*|@rdkit\/.*|@huggingface\/(tokenizers|transformers)|commander|inversify|onnxruntime-web)$/;

/** Installs the SDK, looks at what came with it, and runs it. */
export function checkSdkAlone(folder: string): void {
  mkdirSync(folder);
  emptyProject(folder);
  npmInstall(folder, '@onnx-lora/sdk');

  const sizes = sizesOf(path.join(folder, 'node_modules'));
  const found = [...sizes.keys()].filter((name) => foreign.test(name));
  if (found.length > 0) throw new Error(`@onnx-lora/sdk brings ${found.join(', ')}, which belong to other packages.`);
  const runtime = reachedFrom(folder, 'onnxruntime-node');
  const rest = [...sizes].filter(([name]) => !runtime.has(name)).sort(([, a], [, b]) => b - a);
  const total = rest.reduce((sum, [, size]) => sum + size, 0);
  const largest = rest.slice(0, 6).map(([name, size]) => `${name} ${megabytes(size)}`);
  console.log(`beside ONNX Runtime: ${megabytes(total)} in ${rest.length} packages (${largest.join(', ')}, …)`);
  if (total > BUDGET) throw new Error(`That is more than ${megabytes(BUDGET)}.`);

  npmInstall(folder, '@onnx-lora/testing');
  writeFileSync(path.join(folder, 'learn.js'), LEARN);
  run(folder, 'node', 'learn.js');
}

/** A program that uses the SDK and the test kit: it fails if saving or merging changes an adapter. */
const LEARN = `import assert from 'node:assert/strict';
import { openModel } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';

const model = await openModel(await publishModel('model', { model: linearNet() }));
const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' } });
assert.deepEqual(await checkAdapterRoundTrip(model, adapter), []);
`;

/** Bytes by package, those within others included. */
function sizesOf(modules: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const name of packagesIn(modules)) sizes.set(name, bytesIn(path.join(modules, name)));
  return sizes;
}

function packagesIn(modules: string): string[] {
  return readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(path.join(modules, name)).map((inner) => `${name}/${inner}`) : [name],
    );
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(path.join(parentPath, name)).size, 0);
}

/** A package, and all that it depends on. */
function reachedFrom(folder: string, name: string, reached: Set<string> = new Set()): Set<string> {
  if (reached.has(name)) return reached;
  reached.add(name);
  const file = path.join(folder, 'node_modules', name, 'package.json');
  const { dependencies = {} } = JSON.parse(readFileSync(file, 'utf8')) as { dependencies?: Record<string, string> };
  for (const each of Object.keys(dependencies)) reachedFrom(folder, each, reached);
  return reached;
}
