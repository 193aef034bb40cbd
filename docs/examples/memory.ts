/**
 * @file Memory of training, and ways to lower it: the same two steps, each time with another option, in a process of
 * its own. Without words it is a taste; `node memory.js full` makes the table of the guide.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openModel, train, type TrainOptions } from '@onnx-lora/sdk';
import { maskedLanguageModelling, readSequenceData, scienceFamilies } from '@onnx-lora/science';

interface Trial {
  /** Tokens of each protein that are read. */
  readonly length?: number;
  readonly options?: Omit<TrainOptions, 'task'>;
  /** Opens the model and reads the data, and trains nothing. */
  readonly isIdle?: boolean;
}

const layers = ['query', 'key', 'value', 'intermediate.dense', 'output.dense'];
const trials: Readonly<Record<string, Trial>> = {
  'nothing yet: model open, data read': { isIdle: true },
  '16 proteins of 256 tokens, all linear layers': {},
  'memory: 50e6': { options: { memory: 50e6 } },
  'batchSize: 4, accumulationSteps: 4': { options: { batchSize: 4, accumulationSteps: 4 } },
  'batchSize: 1, accumulationSteps: 16': { options: { batchSize: 1, accumulationSteps: 16 } },
  'query and value only': { options: { lora: { targetModules: ['query', 'value'] } } },
  'the last two of six layers': { options: { lora: { targetModules: layers, layersToTransform: [4, 5] } } },
  '128 tokens': { length: 128 },
};

const isFull = process.argv[2] === 'full';
const [, , , asked] = process.argv;
if (asked) console.log(JSON.stringify(await measured(trials[asked]!)));
else await table(isFull ? Object.keys(trials) : Object.keys(trials).slice(0, 2));

async function table(names: readonly string[]): Promise<void> {
  console.log('| training | peak, MB | step, s |\n| --- | --- | --- |');
  for (const name of names) {
    const program = [...process.execArgv, fileURLToPath(import.meta.url), isFull ? 'full' : 'taste', name];
    const { stdout } = await promisify(execFile)(process.execPath, program);
    const { peak, seconds } = JSON.parse(stdout) as Awaited<ReturnType<typeof measured>>;
    console.log(`| ${name} | ${peak.toFixed(0)} | ${seconds.toFixed(1)} |`);
  }
}

/** The largest resident memory of this process in megabytes, and the seconds of the last step. */
async function measured({
  length = isFull ? 256 : 64,
  options,
  isIdle,
}: Trial): Promise<{ peak: number; seconds: number }> {
  const at = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
  const model = await openModel(at('models/esm2-tiny'), { families: scienceFamilies });
  const { train: records } = await readSequenceData(at('data/proteins/uniprot.fasta'));
  const long = records.filter(({ sequence }) => sequence.length >= 254); // and a token at each end
  if (isIdle) return { peak: peakMb(), seconds: 0 };
  const run = await train(model, {
    task: maskedLanguageModelling(long, { maxLength: length }),
    lora: { targetModules: 'all-linear' },
    batchSize: 16,
    steps: isFull ? 3 : 1,
    provider: 'cpu',
    ...options,
  });
  let [before, seconds] = [performance.now(), 0];
  for await (const event of run) {
    if (event.type !== 'step') continue;
    seconds = (performance.now() - before) / 1000;
    before = performance.now();
  }
  await run.done;
  return { peak: peakMb(), seconds };
}

function peakMb(): number {
  return process.resourceUsage().maxRSS / 1024;
}
