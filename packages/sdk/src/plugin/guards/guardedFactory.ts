/** @file A maker of tasks and predictors whose failures say which task it is, and in which function it fails. */

import { OnnxLoraError } from '../../errors.ts';
import type { Predictor } from '../predictor.ts';
import { settingsOf } from '../settings.ts';
import type { PredictorOptions, TaskFactory, TaskOptions } from '../taskFactory.ts';
import { type At, guard, guarded } from './guard.ts';
import { atTask, guardedTask } from './guardedTask.ts';

/**
 * The factory, but that its functions, and those of what it makes, throw nothing other than `OnnxLoraError`: what else they
 * throw becomes `PLUGIN_INVALID`, as {@link guardedTask} has it. They are given settings that its table has checked. What the
 * factory does not have stays absent.
 */
export function guardedFactory(factory: TaskFactory): TaskFactory {
  const at = atTask(factory.name);
  const table = factory.settings ?? settingsOf<unknown>({});
  const checked = <Options extends PredictorOptions | TaskOptions>(options: Options): Options =>
    options.settings
      ? { ...options, settings: table.check(options.settings, { owner: `The task "${factory.name}"` }) }
      : options;
  return guarded(at, factory, {
    name: 'as-is',
    description: 'as-is',
    settings: 'as-is',
    defaults: 'as-is',
    input: 'as-is',
    create: (create) => (options) => {
      const own = checked(options);
      return guard(at('create'), () => guardedTask(create(own)));
    },
    predictor:
      (predictor) =>
      (model, options = {}) =>
        guard(at('predictor'), async () => guardedPredictor(await predictor(model, checked(options)), at)),
  });
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for what answers to `feeds` and `decode`, as predictors did once */
function guardedPredictor(predictor: Predictor, at: At): Predictor {
  if (typeof predictor.predict !== 'function') {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The predictor of the ${at('').part} has no predict(). Its author must return filePredictor(model, { feeds, decode }, options), or recordPredictor(…) where files hold records.`,
    );
  }
  return guarded(at, predictor, {
    adapters: 'as-is',
    predict: 'each',
    writer: 'call',
    writerEndings: 'as-is',
    sections: 'call',
    release: 'call',
    [Symbol.asyncDispose]: (dispose) => () => guard(at('release'), dispose),
  });
}
