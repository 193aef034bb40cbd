/** @file A plugin of `create-onnx-lora-plugin` passes its own tests, is fit to publish, and works on the command line. */

import path from 'node:path';
import { npmInstall, requireText, run } from './command.ts';

/** Expected behaviour of a plugin of one kind on the command line. */
interface Expected {
  readonly kind: string;
  /** The first metric, and whether it improved enough from `before` to `after`. */
  readonly metric: string;
  readonly isLearned: (before: number, after: number) => boolean;
  /** Text expected in a prediction. */
  readonly answer: string;
}

const kinds: readonly Expected[] = [
  { kind: 'regression', metric: 'rmse', isLearned: (before, after) => after < before / 2, answer: '"value"' },
  { kind: 'classification', metric: 'accuracy', isLearned: (before, after) => after > before + 0.3, answer: '"label"' },
];

/**
 * Generates a plugin of each kind, installs and tests it, and trains with it.
 *
 * @param folder created for the default kind and named like its plugin; other kinds get folders beside it
 */
export function checkGeneratedPlugin(folder: string): void {
  for (const [i, expected] of kinds.entries()) checkKind(i === 0 ? folder : `${folder}-${expected.kind}`, expected);
}

function checkKind(folder: string, { kind, metric, isLearned, answer }: Expected): void {
  const [parent, name] = [path.dirname(folder), path.basename(folder)];
  const answers = ['--domain', 'cells', '--kind', kind, '--yes'];
  run(parent, 'npm', 'create', '--yes', 'onnx-lora-plugin', '--', name, ...answers);

  // As the generator's last lines say.
  npmInstall(folder);

  run(folder, 'npm', 'test');
  run(folder, 'npm', 'run', 'build');
  run(folder, 'npm', 'run', 'example');
  const tool = (script: string, ...words: string[]): string =>
    run(folder, 'node', path.resolve('node_modules', script), ...words);
  tool('publint/src/cli.js', '--strict');
  tool('@arethetypeswrong/cli/dist/index.js', '--pack', '.', '--profile', 'esm-only');

  const onnxLora = (...words: string[]): string => run(folder, 'npx', '--no-install', 'onnx-lora', ...words);
  requireText(onnxLora('plugins', '--plugin', name), `cells-${kind}`);
  const training = ['--data', 'example/samples.csv', '--plugin', name, '--epochs', '20', '--lr', '0.01'];
  const trained = onnxLora('train', 'example/model', ...training, '--out', 'runs/first', '--json');
  const { before, after } = JSON.parse(trained) as Record<'before' | 'after', Record<string, number>>;
  if (!isLearned(before[metric]!, after[metric]!))
    throw new Error(`The ${metric} is ${before[metric]} before and ${after[metric]} after.`);
  const sample = 'example/samples/0.txt';
  requireText(
    onnxLora('predict', 'example/model', sample, '--plugin', name, '--adapter', 'runs/first', '--json'),
    answer,
  );
}
