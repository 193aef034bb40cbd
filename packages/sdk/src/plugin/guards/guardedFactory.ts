/** @file A maker of tasks and predictors whose failures say which task it is, and in which function it fails. */

import { OnnxLoraError } from '../../errors.ts';
import { guard, guardEach, type Guarded } from './guard.ts';
import { guardedTask } from './guardedTask.ts';
import type { Predictor } from '../predictor.ts';
import { settingsOf } from '../settings.ts';
import type { PredictorOptions, TaskFactory, TaskOptions } from '../taskFactory.ts';

/**
 * The factory, but that its functions, and those of what it makes, throw nothing other than `OnnxLoraError`: what else they
 * throw becomes `PLUGIN_INVALID`, as {@link guardedTask} has it. They are given settings that its table has checked. What the
 * factory does not have stays absent.
 */
export function guardedFactory(factory: TaskFactory): TaskFactory {
  const { name, description, settings, defaults, input } = factory;
  const at = (where: string): Guarded => ({ part: `task "${name}"`, where });
  const table = settings ?? settingsOf<unknown>({});
  const checked = <Options extends PredictorOptions | TaskOptions>(options: Options): Options =>
    options.settings
      ? { ...options, settings: table.check(options.settings, { owner: `The task "${name}"` }) }
      : options;
  return {
    name,
    description,
    ...(settings ? { settings } : {}),
    ...(defaults ? { defaults } : {}),
    ...(input ? { input } : {}),
    create: (options) => {
      const own = checked(options);
      return guard(at('create'), () => guardedTask(factory.create(own)));
    },
    ...(factory.predictor
      ? {
          predictor: (model, options = {}) =>
            guard(at('predictor'), async () => guardedPredictor(await factory.predictor!(model, checked(options)), at)),
        }
      : {}),
  };
}

type At = (where: string) => Guarded;

/** @throws OnnxLoraError `PLUGIN_INVALID` for what answers to `feeds` and `decode`, as predictors did once */
function guardedPredictor(predictor: Predictor, at: At): Predictor {
  if (typeof predictor.predict !== 'function') {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The predictor of the ${at('').part} has no predict(). Its author must return filePredictor(model, { feeds, decode }, options), or recordPredictor(…) where files hold records.`,
    );
  }
  const release = (): Promise<void> => guard(at('release'), () => predictor.release());
  return {
    ...(predictor.adapters ? { adapters: predictor.adapters } : {}),
    predict: (sources, options) => guardEach(at('predict'), () => predictor.predict(sources, options)),
    ...(predictor.writer ? { writer: (file) => guard(at('writer'), () => predictor.writer!(file)) } : {}),
    ...(predictor.writerEndings ? { writerEndings: predictor.writerEndings } : {}),
    ...(predictor.sections ? { sections: () => guard(at('sections'), () => predictor.sections!()) } : {}),
    release,
    [Symbol.asyncDispose]: release,
  };
}
