-- Conquest DICOM server: forward MR images of the lumbar spine to OsteoNode as they come.
--
-- In dicom.ini:
--   [lua]
--   ImportConverter0 = dofile('lua/osteonode.lua')      (this file, copied there)
-- In acrnema.map:
--   OSTEONODE   127.0.0.1   11112   un
--
-- Results come back by C-STORE. They are not MR, so they are never sent again. Add the words of your site.
-- Words and functions are the same as in orthanc.lua: a server needs one file only.

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

local own = says_lumbar(Data.BodyPartExamined) or says_lumbar(Data.SeriesDescription) or says_lumbar(Data.ProtocolName)
local by_study = says_lumbar(Data.StudyDescription) and OF_NO_OTHER_PART[normalised(Data.BodyPartExamined)]
if Data.Modality == 'MR' and (own or by_study) then
  script('forward to OSTEONODE channel *')
end
