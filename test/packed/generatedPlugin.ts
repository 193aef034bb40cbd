/** @file What `npm create onnx-lora-plugin` writes passes its own tests, is fit to publish, and works on the command line. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { npmInstall, requireText, run } from './command.ts';
import type { Tarball } from './tarballs.ts';

/**
 * Generates a plugin, installs and tests it, and trains with it.
 *
 * @param folder is made; its name is the plugin's
 */
export function checkGeneratedPlugin(folder: string, tarballs: readonly Tarball[]): void {
  const [parent, name] = [path.dirname(folder), path.basename(folder)];
  const generator = tarballs.find((tarball) => tarball.name === 'create-onnx-lora-plugin')!;
  // What npm create does, with the tarball in place of the registry.
  run(parent, 'npm', 'exec', '--yes', `--package=${generator.file}`, '--', generator.name, name, '--yes');

  const manifest = path.join(folder, 'package.json');
  const parsed = JSON.parse(readFileSync(manifest, 'utf8')) as { devDependencies: Record<string, string> };
  // The command depends on the other packages by version; what is installed beside it satisfies that.
  for (const tarball of tarballs)
    if (tarball !== generator) parsed.devDependencies[tarball.name] = `file:${tarball.file}`;
  writeFileSync(manifest, JSON.stringify(parsed, undefined, 2));
  npmInstall(folder);

  run(folder, 'npm', 'test');
  run(folder, 'npm', 'run', 'build');
  run(folder, 'npm', 'run', 'conformance');
  run(folder, 'npm', 'run', 'example');
  const tool = (script: string, ...words: string[]): string =>
    run(folder, 'node', path.resolve('node_modules', script), ...words);
  tool('publint/src/cli.js', '--strict');
  tool('@arethetypeswrong/cli/dist/index.js', '--pack', '.', '--profile', 'esm-only');

  const onnxLora = (...words: string[]): string => run(folder, 'npx', '--no-install', 'onnx-lora', ...words);
  requireText(onnxLora('plugins', '--plugin', name), 'cells-regression');
  const training = ['--data', 'example/samples.csv', '--plugin', name, '--epochs', '20', '--lr', '0.01'];
  const trained = onnxLora('train', 'example/model', ...training, '--out', 'runs/first', '--json');
  const { before, after } = JSON.parse(trained) as Record<'before' | 'after', { rmse: number }>;
  if (!(after.rmse < before.rmse / 2)) throw new Error(`The error is ${before.rmse} before and ${after.rmse} after.`);
  const sample = 'example/samples/0.txt';
  requireText(
    onnxLora('predict', 'example/model', sample, '--plugin', name, '--adapter', 'runs/first', '--json'),
    '"value"',
  );
}
