/** @file The tutorial "First adapter" as a program: a model that reads white digits on black learns to read black ones on white. */

import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { evaluate, loadAdapter, merge, openModel, previewLora, train } from '@onnx-lora/sdk';
import { imageClassification, imageClassifier, visionFamilies } from '@onnx-lora/vision';
import { makeDigits } from './support/digits.ts';

await makeDigits('digits');
for (const made of ['inverted-adapter', 'vit-inverted']) await rm(made, { recursive: true, force: true });
const folder = fileURLToPath(new URL('../models/vit-mnist', import.meta.url));

// #region look
const model = await openModel(folder, { families: visionFamilies });
for (const { path, kind, weightShape } of model.modules()) console.log(path, kind, weightShape.join('×'));
const { targets, trainableParameters } = previewLora(model, { r: 8, targetModules: 'all-linear' });
console.log(`${targets.length} modules, ${trainableParameters} numbers to train`);
// #endregion look

// #region measure
const task = imageClassification('digits'); // trains on digits/train, measures on digits/test
console.log('before', (await evaluate(model, { task })).metrics);
// #endregion measure

// #region train
const run = await train(model, { task, lora: { r: 8, targetModules: 'all-linear' }, steps: 100, lr: 5e-3 });
for await (const event of run) {
  if (event.type === 'step' && event.step % 20 === 0) console.log(`step ${event.step}, loss ${event.loss.toFixed(2)}`);
}
const { adapter } = await run.done;
console.log('after', (await evaluate(model, { task, adapter })).metrics);
await adapter.save('inverted-adapter');
// #endregion train

// #region serve
const classifier = await imageClassifier(model);
const session = await model.session({ adapters: { inverted: await loadAdapter('inverted-adapter') } });
const feeds = await classifier.feeds(['digits/test/7/00018.png']);
for (const name of [null, 'inverted']) {
  const [answer] = classifier.decode(await session.run(feeds, { adapter: name }));
  console.log(name ?? 'base', answer!['label'], answer!['score']);
}
await session.release();
// #endregion serve

// #region merge
await merge(model, adapter, 'vit-inverted');
// #endregion merge
