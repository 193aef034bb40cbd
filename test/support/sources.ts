/** @file Where tests find the packages of this repository: in their sources, so that no build is needed first. */

import path from 'node:path';

const packages = path.join(import.meta.dirname, '../../packages');

/** Vite's aliases for packages' names; TypeScript has the same as `paths` in tsconfig.json. */
export const sources: { find: RegExp; replacement: string }[] = [
  { find: /^@onnx-lora\/(\w+)$/, replacement: `${packages}/$1/src/index.ts` },
  { find: /^@onnx-lora\/(\w+)\/(\w+)$/, replacement: `${packages}/$1/src/$2.ts` },
  { find: /^create-onnx-lora-plugin$/, replacement: `${packages}/create-onnx-lora-plugin/src/index.ts` },
];
