/** @file A maker of tasks and answers whose failures say which task it is, and in which function it fails. */

import { guard, guardEach, type Guarded } from './guard.ts';
import { guardedTask } from './guardedTask.ts';
import type { Answerer, Predictor, RecordAnswerer } from './predictor.ts';
import type { TaskFactory } from './taskFactory.ts';

/**
 * The factory, but that its functions, and those of what it makes, throw nothing other than `OnnxLoraError`: what else they
 * throw becomes `PLUGIN_INVALID`, as {@link guardedTask} has it. What the factory does not have stays absent.
 */
export function guardedFactory(factory: TaskFactory): TaskFactory {
  const { name, description, settings, defaults } = factory;
  const at = (where: string): Guarded => ({ part: `task "${name}"`, where });
  return {
    name,
    description,
    ...(settings ? { settings } : {}),
    ...(defaults ? { defaults } : {}),
    create: (options) => guard(at('create'), () => guardedTask(factory.create(options))),
    ...(factory.predictor
      ? {
          predictor: (model, options) =>
            guard(at('predictor'), async () => guardedPredictor(await factory.predictor!(model, options), at)),
        }
      : {}),
    ...(factory.answerer
      ? {
          answerer: (model, options) =>
            guard(at('answerer'), async () => guardedAnswerer(await factory.answerer!(model, options), at)),
        }
      : {}),
    ...(factory.recordAnswerer
      ? {
          recordAnswerer: (model, options) =>
            guard(at('recordAnswerer'), async () => guardedRecords(await factory.recordAnswerer!(model, options), at)),
        }
      : {}),
  };
}

type At = (where: string) => Guarded;

function guardedPredictor(predictor: Predictor, at: At): Predictor {
  return {
    ...(predictor.outputs ? { outputs: predictor.outputs } : {}),
    feeds: (files) => guard(at('feeds'), () => predictor.feeds(files)),
    decode: (outputs, inputs) => guard(at('decode'), () => predictor.decode(outputs, inputs)),
  };
}

function guardedAnswerer(answerer: Answerer, at: At): Answerer {
  return {
    answers: (sources, options) => guardEach(at('answers'), () => answerer.answers(sources, options)),
    release: () => guard(at('release'), () => answerer.release()),
  };
}

function guardedRecords(answerer: RecordAnswerer, at: At): RecordAnswerer {
  return {
    fileEndings: answerer.fileEndings,
    answers: (source, options) => guardEach(at('answers'), () => answerer.answers(source, options)),
    ...(answerer.writer ? { writer: (file) => guard(at('writer'), () => answerer.writer!(file)) } : {}),
    ...(answerer.writerEndings ? { writerEndings: answerer.writerEndings } : {}),
    ...(answerer.sections ? { sections: () => guard(at('sections'), () => answerer.sections!()) } : {}),
    release: () => guard(at('release'), () => answerer.release()),
  };
}
