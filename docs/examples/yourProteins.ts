/** @file The tutorial "Your proteins" as a program: an adapter learns the fitness of variants, and is asked about new ones. */

import { fileURLToPath } from 'node:url';
import { evaluate, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { openSequenceRegressor, scienceFamilies, sequenceRegression } from '@onnx-lora/science';
import { makeAssay } from './support/assay.ts';

await makeAssay('assay');
const folder = fileURLToPath(new URL('../models/esm2-tiny', import.meta.url));

// #region program
const model = await openModel(folder, { families: scienceFamilies });
const task = sequenceRegression('assay/fitness.csv', { validation: 0.3, maxLength: 58 });
const run = await train(model, { task, epochs: 2, lr: 1e-3, batchSize: 16, warmupSteps: 0.1, sampling: 'length' });
const { adapter } = await run.done;
const { metrics, intervals } = await evaluate(model, { task, adapter });
console.log(metrics['spearman'], intervals?.['spearman']);

const regressor = await openSequenceRegressor(modelForAdapter(model, adapter), { adapter });
for await (const { prediction } of regressor.predict(['assay/ideas.csv'])) console.log(prediction);
await regressor.release();
// #endregion program
