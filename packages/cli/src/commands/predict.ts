/** @file `onnx-lora predict`: answers for unlabelled files. */

import { createHash } from 'node:crypto';
import { type Adapter, type PluginRegistry, type Model, openPredictor } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { Command } from 'commander';
import { picturesOf, withPictures } from '../answers/pictures.ts';
import { UnprintedValues, counted, printAnswers } from '../answers/printAnswers.ts';
import { isAnswerFile, writeRecords } from '../answers/writeRecords.ts';
import { checkNames } from '../settings/choices.ts';
import type { Context } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { machineOptions } from '../settings/training.ts';
import { commandOf, type Flags } from '../options.ts';
import { Progress } from '../terminal/progress.ts';
import { readSettings, withTaskSettings } from '../settings/readSettings.ts';
import { chooseTask } from '../chosenTask.ts';
import { chosenAdapter, modelAndRest, openNamed, placedOn, requireFree } from '../sources.ts';
import { given, predictSources, requireSources, STDIN } from '../answers/predictSources.ts';

/** Files per batch by default. */
const FEW_FILES = 32;

/** Makes the command. */
export function predictCommand(context: Context): Command {
  return commandOf({
    name: 'predict',
    description:
      'Predicts for files, one line each: label, score, file, or the transcript of a recording; or for each record of a file of many, such as a FASTA file. A folder stands for all files below it, "-" for standard input. Predicted images, such as masks, go to the folder of --out. Other predictions go to the file of --out (.csv, .tsv, .jsonl); after an interruption, the same command continues.',
    usage: 'MODEL FILE… [options]',
    words: { '[words...]': 'the model and the files; with --model, only files' },
    flags: [
      'model',
      'fix',
      'task',
      'set',
      'schema',
      'adapter',
      'batchSize',
      'provider',
      'precision',
      'threads',
      [
        'out',
        'folder for pictures in the answers, such as masks; or file of all answers (.csv, .tsv, .jsonl; of boxes also .json, in COCO form)',
      ],
      'overwrite',
      'config',
      'mismatch',
      'output',
    ],
    examples: [
      'onnx-lora predict models/vit cat.jpg dog.jpg --adapter runs/photos',
      'onnx-lora predict --model models/vit photos --json | jq -r .[].label               # all photos of a folder',
      'onnx-lora predict models/segformer street.jpg --out masks                          # masks/street-mask.png',
      'onnx-lora predict models/rt-detr photos --adapter runs/screws --out found.json     # boxes, as COCO',
      'onnx-lora predict models/esm2 proteins.fasta.gz --adapter runs/gb1 --out fit.csv   # of any size',
      'onnx-lora predict models/whisper call.wav --adapter runs/calls                     # what is said',
      'onnx-lora predict models/smollm questions.jsonl --schema package.json              # each answer JSON of this kind',
      'arecord -f S16_LE -r 16000 | onnx-lora predict models/whisper -                    # while it is said',
    ],
  }).action(async (words: string[], flags: Flags) => {
    const settings = await readSettings(flags, flags.config);
    checkNames(settings, context.registry);
    const { source, rest } = modelAndRest(words, settings.model, 'files');
    requireSources(rest);
    const base = await openNamed(source, context, settings);
    const chosen = await chosenAdapter(settings);
    const adapter = chosen?.adapter;
    const progress = new Progress(context.terminal, flags);
    const factory = await chooseTask(settings.task, base, context, (line) => progress.intro(line), chosen);
    const { allowBaseMismatch = false } = flags;
    const model = adapter ? await placedOn(base, adapter, allowBaseMismatch) : base;
    const { endings = endingsFor(model, context.registry), streams = false, records = false } = factory.input ?? {};
    const sources = predictSources(rest, endings);
    if (!streams && sources.includes(STDIN))
      throw usageError(`The task "${factory.name}" reads files, not standard input ("-").`);
    const { out, batchSize, set } = withTaskSettings(settings, factory);
    const isWritten = records || isAnswerFile(out);
    if (out !== undefined) requireFree(isWritten ? [out] : picturesOf(sources, out), flags);
    await using predictor = await openPredictor(base, {
      task: factory,
      ...withoutUndefined({ adapter, settings: set }),
      allowBaseMismatch,
      ...machineOptions(settings),
    });
    const { terminal, exitWith } = context;
    const { json = false } = flags;
    const beyond = new UnprintedValues();
    if (isWritten) {
      const of = {
        model: await model.digest(),
        adapter: adapter && digestOf(adapter),
        task: factory.name,
        settings: set,
      };
      await writeRecords({
        predictor,
        sources,
        batchSize,
        out,
        json,
        of,
        beyond,
        isNamed: !records,
        terminal,
        progress,
        exitWith,
      });
    } else {
      const as = json ? 'json' : streams ? 'lines' : 'table';
      const options = { parts: as === 'lines', ...withoutUndefined({ batchSize }) };
      const answers = beyond.watched(withPictures(predictor.predict(given(sources), options), sources, out));
      const isSoon = sources.length <= (streams ? 1 : (batchSize ?? FEW_FILES));
      await printAnswers(isSoon ? answers : counted(answers, sources.length, progress), { files: sources, as, terminal, progress }); // prettier-ignore
    }
    if (!json && out === undefined && beyond.note !== undefined) progress.note(beyond.note);
  });
}

/** A short hash of an adapter. */
function digestOf({ config, tensors }: Adapter): string {
  const hash = createHash('sha256').update(JSON.stringify(config));
  for (const [name, { data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex').slice(0, 16);
}

/** File endings that the model's domain reads. */
function endingsFor({ family }: Model, { preprocessors }: PluginRegistry): string[] {
  const own = preprocessors.filter(({ domain }) => family === undefined || domain === family.domain);
  return [...new Set(own.flatMap(({ fileEndings }) => fileEndings))];
}
