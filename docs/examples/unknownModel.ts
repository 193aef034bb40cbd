/**
 * @file An unknown .onnx file: what is in it, whether it is fed right, what to adapt where no layer has a
 * name, a task of one's own, and an adapter that is checked before it is trusted.
 */

import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  evaluate,
  loadAdapter,
  merge,
  type Model,
  type ModuleInfo,
  OnnxLoraError,
  openModel,
  previewLora,
  train,
} from '@onnx-lora/sdk';
import { meanSquaredError, withLoss } from '@onnx-lora/sdk/tasks';
import { writeAnonymous } from './support/anonymous.ts';
import { readDigits } from './support/digits.ts';
import { digitReading, examplesOf } from './support/halfDigits.ts';

await rm('runs/unknown', { recursive: true, force: true });
await mkdir('runs/unknown', { recursive: true });
writeAnonymous(
  fileURLToPath(new URL('../models/vit-mnist/onnx/model.onnx', import.meta.url)),
  'runs/unknown/reader.onnx',
);

// #region open
const model = await openModel('runs/unknown/reader.onnx');
console.log(`made by ${model.producer}, opset ${model.opset}, ${model.parameterCount.toLocaleString('en')} parameters`);
for (const [name, { type, dims }] of Object.entries(model.inputs)) console.log('in  ', name, type, dims);
for (const [name, { type, dims }] of Object.entries(model.outputs)) console.log('out ', name, type, dims);
const shapes = new Map<string, ModuleInfo[]>();
for (const module of model.modules()) {
  const what = `${module.kind} ${module.weightShape.join('×')}`;
  shapes.set(what, [...(shapes.get(what) ?? []), module]);
}
for (const [what, found] of shapes)
  console.log(`${String(found.length).padStart(3)} × ${what}, such as "${found[0]!.path}" (${found[0]!.confidence})`);
// #endregion open

// #region feed
const digits = await readDigits();
const [training, test] = [digits.slice(0, 2000), digits.slice(9000)];
const whole = digitReading(
  examplesOf(training, () => false),
  examplesOf(test, () => false),
);
console.log(`\nwhole digits: ${await accuracyOf(model, whole)}`);
const half = digitReading(
  examplesOf(training, (row) => row >= 14),
  examplesOf(test, (row) => row >= 14),
);
console.log(`lower half hidden: ${await accuracyOf(model, half)}`);
// #endregion feed

// #region targets
const inBlocks = ({ kind, weightShape }: ModuleInfo): boolean => kind === 'linear' && !weightShape.includes(10);
const lora = { r: 8, loraAlpha: 16, targetModules: inBlocks };
const { targets, trainableParameters } = previewLora(model, lora);
console.log(`\n${targets.length} layers to adapt, ${trainableParameters.toLocaleString('en')} numbers to train`);
// #endregion targets

// #region mistakes
const FLOAT = 1; // as ONNX numbers its types
const onClass = withLoss(half, (g, outputs, targets) =>
  meanSquaredError(g, g.Cast(outputs['class']!, FLOAT), g.Cast(targets['digit']!, FLOAT)),
);
for (const mistake of [
  () => train(model, { task: half }),
  () => train(model, { task: half, lora: { targetModules: ['query', 'value'] } }),
  () => train(model, { task: half, lora: { targetModules: ({ weightShape }) => weightShape[0] === 768 } }),
  () => train(model, { task: onClass, lora }),
]) {
  const error = await mistake().then(
    () => new Error('It should have failed.'),
    (reason: Error) => reason,
  );
  if (!(error instanceof OnnxLoraError)) throw error;
  console.log(`\n${error.code}: ${error.message}`);
}
// #endregion mistakes
console.log('');

// #region overfit
const few = examplesOf(training.slice(0, 32), (row) => row >= 14);
const check = await train(model, { task: digitReading(few, few), lora, steps: 30, lr: 1e-2, schedule: 'constant' });
const losses: number[] = [];
for await (const event of check) {
  if (event.type !== 'step') continue;
  if (event.step === 1) console.log(`32 digits by heart: first gradient of norm ${event.gradNorm.toFixed(2)}`);
  losses.push(event.loss);
}
await check.done;
console.log(`loss ${losses[0]!.toFixed(2)} before, ${losses.at(-1)!.toFixed(4)} after ${losses.length} steps`);
// #endregion overfit
if (!(losses.at(-1)! < 0.05)) throw new Error('The gradients do not lead downhill.');

// #region train
const run = await train(model, { task: half, lora, steps: 100, batchSize: 32, lr: 5e-3 });
for await (const event of run)
  if (event.type === 'step' && event.step % 25 === 0) console.log(`step ${event.step}, loss ${event.loss.toFixed(3)}`);
const { adapter } = await run.done;
console.log(`lower half hidden: ${await accuracyOf(model, half, adapter)} with the adapter`);
// #endregion train

// #region keep
await adapter.save('runs/unknown/half-digits');
const loaded = await loadAdapter('runs/unknown/half-digits');
await merge(model, loaded, 'runs/unknown/half-reader.onnx');
const merged = await openModel('runs/unknown/half-reader.onnx');
console.log(`lower half hidden: ${await accuracyOf(merged, half)} by the merged file`);
// #endregion keep

/** Accuracy on the held-out digits, with its 95% interval. */
async function accuracyOf(
  which: Model,
  task: typeof half,
  adapter?: Awaited<typeof run.done>['adapter'],
): Promise<string> {
  const { metrics, intervals } = await evaluate(which, { task, ...(adapter ? { adapter } : {}) });
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
  const [low, high] = intervals!['accuracy']!;
  return `${percent(metrics['accuracy']!)} right (95% interval ${percent(low)} to ${percent(high)})`;
}
