/** @file `npm run sbom`: writes `sbom.cdx.json`, which lists every package that users of the released command and its engines install. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { npmInstall, run } from './command.ts';
import { emptyProject } from './release.ts';

const { version } = JSON.parse(readFileSync('packages/cli/package.json', 'utf8')) as { version: string };
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-sbom-'));
try {
  emptyProject(folder, { name: 'onnx-lora', version });
  const released = ['@onnx-lora/cli', '@onnx-lora/openvino', 'create-onnx-lora-plugin'];
  npmInstall(folder, '--package-lock-only', ...released.map((name) => `${name}@${version}`));
  // In the workspace itself, npm would leave out packages with a scope.
  writeFileSync('sbom.cdx.json', run(folder, 'npm', 'sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'));
} finally {
  rmSync(folder, { recursive: true });
}
