import { createHash } from 'node:crypto'
import type { OpenApiDocument, Operation, Parameter, Response } from '@writ/contract/openapi'
import { escaped, prose, schemaHtml } from './reference-schema.ts'
import { REFERENCE_STYLE } from './reference-style.ts'

/** Nothing is loaded and nothing runs: the page is text and its own style, by its hash (CSP Level 3 §2.3.1). */
export const REFERENCE_CSP = [
  'default-src \'none\'', `style-src 'sha256-${createHash('sha256').update(REFERENCE_STYLE).digest('base64')}'`, 'base-uri \'none\'', 'form-action \'none\'', 'frame-ancestors \'none\'',
].join('; ')

type Listed = { readonly method: string; readonly path: string; readonly operation: Operation }

/** The document as a page that needs no script: everything stands in it, so that the browser's own search finds it. */
export function referencePage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Listed => ({ method: method.toUpperCase(), path, operation })))
  const groups = document.tags.map(({ name, description }) => ({ name, description, operations: operations.filter(({ operation }) => operation.tags.includes(name)) }))
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark"><title>Writ: HTTP reference</title>',
    `<style>${REFERENCE_STYLE}</style></head><body>`,
    '<a class="skip" href="#main">To the endpoints</a>',
    `<nav aria-label="Contents"><p>Writ</p><ul>${[['signing', 'How to prove who you are'], ['problems', 'What goes wrong'], ['schemas', 'Schemas']].map(([id, text]) => `<li><a class="plain" href="#${id}">${text}</a></li>`).join('')}</ul>`,
    ...groups.map((group) => `<h2>${escaped(group.name)}</h2><ul>${group.operations.map(navItem).join('')}</ul>`),
    '</nav><main id="main" tabindex="-1">',
    `<h1>Writ: HTTP reference <small>${escaped(document.info.version)}</small></h1>`,
    `<p class="lead">${prose(String(document.info.summary))}.</p><p>${prose(document.info.description)}</p>`,
    `<p>This server calls itself <code>${escaped(document.servers[0]!.url)}</code>. The same as OpenAPI ${escaped(document.openapi)}: <a href="/openapi.json">openapi.json</a>.</p>`,
    signingSection(document),
    ...groups.map((group) => `<section aria-labelledby="${idOf(group.name)}"><h2 id="${idOf(group.name)}">${escaped(group.name)}</h2><p class="quiet">${prose(group.description)}</p>${group.operations.map((one) => article(one, document)).join('')}</section>`),
    problemSection(document),
    schemaSection(document),
    '</main></body></html>\n',
  ].join('\n')
}

const idOf = (tag: string): string => `about-${tag.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
const methodHtml = (method: string): string => `<span class="method ${method.toLowerCase()}">${escaped(method)}</span>`

const navItem = ({ method, operation }: Listed): string =>
  `<li><a href="#${escaped(operation.operationId)}">${methodHtml(method)}<span>${escaped(operation.operationId)}</span></a></li>`

function signingSection({ components }: OpenApiDocument): string {
  const rows = Object.entries(components.securitySchemes).map(([name, { description }]) => `<tr id="signing-${escaped(name)}"><td><code>${escaped(name)}</code></td><td>${prose(description ?? '')}</td></tr>`)
  return `<section aria-labelledby="signing"><h2 id="signing">How to prove who you are</h2>${table(['Name', 'What it is'], rows)}</section>`
}

function problemSection({ components }: OpenApiDocument): string {
  const rows = Object.entries(components.responses).filter(([name]) => !name.includes('.')).map(([type, { description }]) => `<tr id="problem-${escaped(type)}"><td><code>${escaped(type)}</code></td><td>${prose(description)}</td></tr>`)
  return `<section aria-labelledby="problems"><h2 id="problems">What goes wrong</h2><p class="quiet">Each is answered as <code>application/problem+json</code>, with the fields of <a href="#schema-Problem">Problem</a>.</p>${table(['Type', 'What it means'], rows)}</section>`
}

function schemaSection({ components }: OpenApiDocument): string {
  const articles = Object.entries(components.schemas).map(([name, schema]) => `<article id="schema-${escaped(name)}" aria-label="${escaped(name)}"><h3>${escaped(name)}</h3>${schemaHtml(schema)}</article>`)
  return `<section aria-labelledby="schemas"><h2 id="schemas">Schemas</h2>${articles.join('')}</section>`
}

const table = (heads: readonly string[], rows: readonly string[]): string =>
  `<div class="tablewrap"><table><thead><tr>${heads.map((head) => `<th scope="col">${escaped(head)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`

function article({ method, path, operation }: Listed, document: OpenApiDocument): string {
  const { operationId, summary, security, requestBody, responses } = operation
  const parameters = (operation.parameters ?? []).map((one) => ('$ref' in one ? document.components.parameters[lastOf(one.$ref)]! : one))
  const body = Object.entries(requestBody?.content ?? {})
  return [
    `<article id="${escaped(operationId)}" aria-labelledby="head-${escaped(operationId)}">`,
    `<h3 id="head-${escaped(operationId)}"><a href="#${escaped(operationId)}">${methodHtml(method)} <code>${escaped(path)}</code></a></h3>`,
    `<p>${prose(summary)}.</p>`,
    `<p class="who quiet">${body.some(([media]) => media !== 'application/json') ? 'Who asks is proved in the form.' : who(security)}</p>`,
    ...(parameters.length === 0 ? [] : ['<h4>Parameters</h4>', `<ul class="fields">${parameters.map(parameterHtml).join('')}</ul>`]),
    ...body.map(([media, { schema }]) => `<h4>Body <span class="quiet">${escaped(media)}</span></h4>${schemaHtml(schema)}`),
    '<h4>Answers</h4>', `<ul class="fields">${Object.entries(responses).map(([status, response]) => responseHtml(status, response)).join('')}</ul>`,
    '</article>',
  ].join('')
}

function who(security: Operation['security']): string {
  const names = security.flatMap((one) => Object.keys(one))
  return names.length === 0 ? 'Open to anyone.' : `With ${names.map((name) => `<a href="#signing-${escaped(name)}">${escaped(name)}</a>`).join(' or ')}.`
}

const parameterHtml = ({ name, in: place, required, description, schema }: Parameter): string =>
  `<li><code><b>${escaped(name)}</b></code> ${schemaHtml(schema)}<span class="quiet">, in the ${escaped(place)}${required ? '' : ', optional'}.</span>${description === undefined ? '' : ` ${prose(description)}`}</li>`

type AnyResponse = Response | { readonly $ref: string }

function responseHtml(status: string, response: AnyResponse): string {
  const problems = problemsIn(response)
  if (problems.length > 0) return `<li><b>${escaped(status)}</b> ${problems.map((type) => `<a href="#problem-${escaped(type)}"><code>${escaped(type)}</code></a>`).join(' or ')}</li>`
  const { description, content } = response as Response
  const shown = Object.entries(content ?? {}).map(([media, { schema }]) => `${schemaHtml(schema)}${media === 'application/json' ? '' : ` <span class="quiet">${escaped(media)}</span>`}`)
  return `<li><b>${escaped(status)}</b> ${description === 'Done' ? '' : `${prose(description)}: `}${shown.join(', ')}</li>`
}

/** Which problems an answer may be; none where it is something else. */
const problemsIn = (response: AnyResponse): readonly string[] => ('$ref' in response ? lastOf(response.$ref).split('.') : [])

const lastOf = (ref: string): string => ref.split('/').at(-1)!
