/** @file Masked-language modelling for the command line. */

import type { Predictor, RunnableModel, Task } from '@onnx-lora/sdk/tasks';
import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { dataOptions } from '../../data/dataSettings.ts';
import { lengthOptions, type SettingValues, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { maskedLanguageModelling } from './maskedLanguageModelling.ts';
import type { MaskingOptions } from './masking.ts';
import { openPerplexity } from './openPerplexity.ts';

/** Makes `masked-language-modelling` tasks, and what says how well a model knows sequences. */
export class MaskedLanguageModellingFactory implements TaskFactory {
  readonly name = 'masked-language-modelling';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'Goes on with what the model was pre-trained on, with sequences of your own; the data is sequences without labels.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'rate', kind: 'number', description: 'Share of tokens that are to be guessed; 0.15 by default.' },
    { name: 'masked', kind: 'number', description: 'Of these, the share that is masked; 0.8 by default.' },
    { name: 'random', kind: 'number', description: 'And the share that becomes a random token; 0.1 by default.' },
    {
      name: 'spanLength',
      kind: 'number',
      description: 'Masks spans of about this length, such as 5, not single tokens.',
    },
    { name: 'fixedMasks', kind: 'flag', description: 'Each sequence has the same masks whenever it is trained on.' },
    ...sequenceSettings,
  ];
  /** Little is learned of a sequence at a time, and much of it is known: more of them at once, and fewer rounds. */
  readonly defaults = { batchSize: 16, epochs: 3, lr: 1e-3, warmupSteps: 0.05 } as const;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return maskedLanguageModelling(options.data, {
      ...sequenceOptions(options),
      ...maskingOptions(options.settings),
      dynamic: options.settings?.['fixedMasks'] !== true,
    });
  }

  /** Answers `{ id, perplexity, accuracy, masked }`, see {@link openPerplexity}. */
  predictor(model: RunnableModel, { settings, ...options }: PredictorOptions = {}): Promise<Predictor> {
    return openPerplexity(model, {
      ...options,
      data: dataOptions(settings),
      ...lengthOptions(settings),
      ...maskingOptions(settings),
    });
  }
}

function maskingOptions(settings: SettingValues = {}): MaskingOptions {
  const names = ['rate', 'masked', 'random', 'spanLength'] as const;
  return Object.fromEntries(
    names.flatMap((name) => (typeof settings[name] === 'number' ? [[name, settings[name]] as const] : [])),
  );
}
