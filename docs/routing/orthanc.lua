-- Orthanc: send MR series of the lumbar spine to OsteoNode once they have been quiet for `StableAge` seconds.
--
-- In orthanc.json:
--   "LuaScripts"     : [ "orthanc.lua" ],
--   "StableAge"      : 10,
--   "DicomModalities": { "osteonode": [ "OSTEONODE", "127.0.0.1", 11112 ] }
--
-- Results (SR, SEG, text, summary image) come back by C-STORE. They are not MR, so they are never sent again.
--
-- A series is sent if its own body part, description or protocol says lumbar; or if its study says lumbar and
-- the body part of the series does not name another. A series of which nothing says lumbar is not sent: add
-- the words of your site below.

local NODE = 'osteonode'

-- Words are compared in lower case, with one space for everything that is no letter or digit.
local WORDS = { 'lws', 'lwk', 'ls', 'lss', 'lsp', 'lspine', 'l spine', 'l sp', 'lsspine', 'bel', 'lage rug' }
local BEGINNINGS = { 'lumb', 'lomb', 'lenden', 'thoracolumb', 'dorsolumb', 'dorsolomb', 'sacrolumb', 'ledzw', 'beder' }
local ANYWHERE = { '腰', '요추', 'поясн', 'Поясн', 'ПОЯСН' }
local OF_NO_OTHER_PART = { [''] = true, spine = true, wholespine = true, ['whole spine'] = true, tlspine = true, wirbelsaeule = true }

local function normalised(text)
  return (string.gsub(string.gsub(string.lower(text or ''), '[^%w\128-\255]+', ' '), '^ *(.-) *$', '%1'))
end

local function says_lumbar(text)
  for _, one in ipairs(ANYWHERE) do
    if string.find(text or '', one, 1, true) then return true end
  end
  local words = ' ' .. normalised(text) .. ' '
  for _, one in ipairs(WORDS) do
    if string.find(words, ' ' .. one .. ' ', 1, true) then return true end
  end
  for _, one in ipairs(BEGINNINGS) do
    if string.find(words, ' ' .. one, 1, true) then return true end
  end
  return false
end

function OnStableSeries(seriesId, tags, metadata)
  local series = ParseJson(RestApiGet('/series/' .. seriesId, false))['MainDicomTags']
  if series['Modality'] ~= 'MR' then return end
  local study = ParseJson(RestApiGet('/series/' .. seriesId .. '/study', false))['MainDicomTags']
  local own = says_lumbar(series['BodyPartExamined']) or says_lumbar(series['SeriesDescription'])
              or says_lumbar(series['ProtocolName'])
  local by_study = says_lumbar(study['StudyDescription']) or says_lumbar(study['RequestedProcedureDescription'])
  if not (own or (by_study and OF_NO_OTHER_PART[normalised(series['BodyPartExamined'])])) then return end
  -- A series goes through the REST interface: Lua's SendToModality takes single instances only. Asynchronous,
  -- because Lua holds up the whole server while it runs; the job is seen, and can be resubmitted, under /jobs.
  RestApiPost('/modalities/' .. NODE .. '/store',
              DumpJson({ Resources = { seriesId }, Asynchronous = true }, true), true)
end
