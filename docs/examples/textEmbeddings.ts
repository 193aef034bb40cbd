/**
 * @file Embeddings of texts, by the plugin in `text/`: a small MiniLM learns which questions mean the same, and finds the
 * partners of questions whose words it has never seen together.
 */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { textEmbedder } from './text/predictor.ts';
import { textPlugin } from './text/plugin.ts';
import { textEmbedding } from './text/textEmbedding.ts';

const examples = fileURLToPath(new URL('..', import.meta.url));
const model = await openModel(path.join(examples, 'models/minilm-tiny'), { plugins: [textPlugin] });

// Pairs such as "how can i buy my bike" and "help me purchase my bicycle"; 40 of 160 are held out.
const task = textEmbedding(path.join(examples, 'data/paraphrases/pairs.csv'));
const lora = { r: 8, targetModules: 'all-linear' };
const run = await train(model, { task, lora, steps: 500, batchSize: 32, lr: 1e-2 });
const { adapter, seconds } = await run.done;
console.log(`Trained ${adapter.parameterCount} numbers in ${seconds.toFixed(1)} s`);

const before = (await evaluate(model, { task })).metrics;
const after = (await evaluate(model, { task, adapter })).metrics;
for (const name of ['accuracy@1', 'mrr'])
  console.log(`${name} of the held-out pairs: ${before[name]!.toFixed(2)} before, ${after[name]!.toFixed(2)} after`);
if (!(after['accuracy@1']! > 0.5)) throw new Error('The adapter learned too little.');

// Vectors have length 1, so that the product of two is their cosine.
const embedder = await textEmbedder(model, { adapters: { adapter } });
const { data, dims } = await embedder.embed(['how can i fix my bike', 'help me repair my bicycle', 'help me repair my couch'], 'adapter'); // prettier-ignore
const [question, same, other] = [0, 1, 2].map((row) =>
  Array.from(data.slice(row * dims[1]!, (row + 1) * dims[1]!), Number),
);
const cosine = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0);
console.log(`The same: ${cosine(question!, same!).toFixed(2)}, another: ${cosine(question!, other!).toFixed(2)}`);
await embedder.release();
