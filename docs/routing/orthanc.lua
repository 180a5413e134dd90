-- Orthanc: send every MR series to OsteoNode once it has been quiet for `StableAge` seconds.
--
-- In orthanc.json:
--   "LuaScripts"     : [ "orthanc.lua" ],
--   "StableAge"      : 10,
--   "DicomModalities": { "osteonode": [ "OSTEONODE", "127.0.0.1", 11112 ] }
--
-- Results (SR, SEG, text, summary image) come back by C-STORE. They are not MR, so they are never sent again.

local NODE = 'osteonode'

function OnStableSeries(seriesId, tags, metadata)
  local series = ParseJson(RestApiGet('/series/' .. seriesId, false))
  if series['MainDicomTags']['Modality'] ~= 'MR' then
    return
  end
  -- A series goes through the REST interface: Lua's SendToModality takes single instances only. Asynchronous,
  -- because Lua holds up the whole server while it runs; the job is seen, and can be resubmitted, under /jobs.
  RestApiPost('/modalities/' .. NODE .. '/store',
              DumpJson({ Resources = { seriesId }, Asynchronous = true }, true), true)
end
